"""Reciprocals of norms: rows far below the loudest take no levels from the others.

x / max(|x|, 1e-12) multiplies a row of zeros by 1e12. In a range up to there all other reciprocals
are 0; the zeros stay zeros whatever they are multiplied by.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.quantize import Bounds

REDUCTIONS = {"ReduceL1", "ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare"}
NORM = REDUCTIONS | {"Abs", "Add", "Clip", "Max", "Mul", "Pow", "Sqrt"}
"""Ops that norms are computed by."""
DEPTH = 8
"""Of the nodes from a norm to what it is of."""
LEVELS = 255.0
"""Reciprocals so much farther apart leave the smallest less than one level."""
KEPT = 16.0
"""By how much a row may be below the loudest and keep its reciprocal: 24 dB, so that the loudest
has 16 levels."""


def bounded_norms(graph: FloatGraph, observed: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """The ranges, those of reciprocals of norms cut off where 8 bits cannot hold all of them."""
    ranges = dict(observed)
    for node in graph.nodes:
        if node.op_type != "Reciprocal" or node.domain or not _scales_its_own(node):
            continue
        low, high = ranges.get(str(node.outputs[0].name), (0.0, 0.0))
        if low > 0.0 and high > LEVELS * low:
            ranges[str(node.outputs[0].name)] = low, KEPT * low
    return ranges


def _scales_its_own(node: ir.Node) -> bool:
    """Whether a reciprocal is that of a norm, and multiplies nothing but what the norm is of."""
    factor = node.outputs[0]
    if factor.is_graph_output() or not factor.uses():
        return False
    return all(
        use.node.op_type == "Mul"
        and not use.node.domain
        and _is_of(node.inputs[0], use.node.inputs[1 - use.idx], DEPTH)
        for use in factor.uses()
    )


def _is_of(norm: ir.Value | None, data: ir.Value | None, depth: int) -> bool:
    if norm is None or depth == 0:
        return False
    if norm is data:
        return True
    node = norm.producer()
    if node is None or node.domain or node.op_type not in NORM:
        return False
    return any(_is_of(value, data, depth - 1) for value in node.inputs)
