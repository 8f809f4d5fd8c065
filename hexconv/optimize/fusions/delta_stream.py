"""Residuals that are added up apart from the stream that they are added to.

Written as `x1 = x0 + b1, x2 = x1 + b2, x3 = x2 + b3` every sum is rounded in the wide range of the
stream, and each rounding stays in it. As `x1 = x0 + b1, s2 = b1 + b2, x2 = x0 + s2, ...` only those
of the narrow s stay; x1 and x2 are rounded for their other readers alone.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.optimize.fusions.edit import Inserter
from hexconv.optimize.registry import Stage, declined, rewrite
from hexconv.quantize import Bounds

WORTH = 0.5
"""Largest squared step of a sum of residuals, beside the stream's, that is worth a node."""


@dataclass(frozen=True)
class StreamSum:
    """A value of the stream: `base` plus `total`, the residuals since, within `bounds`."""

    base: ir.Value
    total: ir.Value
    bounds: Bounds


@rewrite(Stage.FUSION, accuracy=True)
def delta_stream(graph: FloatGraph, observed: MutableMapping[str, Bounds]) -> int:
    """Residuals are summed in their own narrow range, then added to the stream: fewer roundings."""
    sums: dict[ir.Value, StreamSum] = {}
    count = 0
    for node in graph.nodes:
        stream, residual = _operands(node, sums)
        if stream is None or residual is None:
            continue
        before = sums.get(stream)
        bounds = observed[str(residual.name)]
        found = StreamSum(stream, residual, bounds)
        if before is not None:
            bounds = (before.bounds[0] + bounds[0], before.bounds[1] + bounds[1])
            if _step(bounds) ** 2 < WORTH * _step(observed[str(stream.name)]) ** 2:
                total = _added(node, before, residual, bounds, graph, observed)
                found = StreamSum(before.base, total, bounds)
                count += 1
            else:
                declined("delta_stream", node.name, "the residuals' sum is as wide as the stream")
        sums[node.outputs[0]] = found
    if count:
        remove_dead(graph.graph)
    return count


def _operands(
    node: ir.Node, sums: MutableMapping[ir.Value, StreamSum]
) -> tuple[ir.Value | None, ir.Value | None]:
    """The stream, which others read as well, and the residual of a sum; None if it is none."""
    if node.op_type != "Add" or node.domain or len(node.inputs) != 2:
        return None, None
    left, right = node.inputs
    if left is None or right is None or left is right or shape_of(left) != shape_of(right):
        return None, None
    if array_of(left) is not None or array_of(right) is not None:
        return None, None
    for stream, residual in ((left, right), (right, left)):
        if stream in sums:
            return stream, residual
    for stream, residual in ((left, right), (right, left)):
        if len(list(stream.uses())) > 1 and not residual.is_graph_input():
            return stream, residual
    return None, None


def _step(bounds: Bounds) -> float:
    return max(bounds[1], 0.0) - min(bounds[0], 0.0)


def _added(
    node: ir.Node,
    before: StreamSum,
    residual: ir.Value,
    bounds: Bounds,
    graph: FloatGraph,
    observed: MutableMapping[str, Bounds],
) -> ir.Value:
    """The residuals' sum with one more, which the node adds to the base instead."""
    shape = shape_of(node.outputs[0])
    put = Inserter(graph, node, observed)
    total = put.node("Add", [before.total, residual], shape, str(residual.name))
    observed[str(total.name)] = bounds
    node.replace_input_with(0, before.base)
    node.replace_input_with(1, total)
    return total
