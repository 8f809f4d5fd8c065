"""Convolutions of one input whose results are concatenated: one with all their outputs.

With a residual around each, the input of the residual is concatenated with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.optimize.on_float.same_convolution import (
    Kernel,
    add_price,
    bhwd,
    concat_price,
    kernel_of,
    same_params,
    same_shape_sum,
    stacked,
)
from hexconv.optimize.price import Prices
from hexconv.optimize.registry import Stage, declined, rewrite


@dataclass(frozen=True, eq=False)
class ConvBranch:
    """A convolution of `source`, and `residual` added to it."""

    kernel: Kernel
    source: ir.Value
    residual: ir.Value | None


@rewrite(Stage.FLOAT, priced=True)
def convolutions_of_one_input(graph: FloatGraph, prices: Prices) -> int:
    """Convolutions of one input, with residuals, that a Concat joins become one convolution."""
    builder = FloatBuilder(graph.graph)
    count = 0
    for node in graph.nodes:
        if node.graph is None or not _joins_channels(node):
            continue
        parts = [value for value in node.inputs if value is not None]
        branches = [_branch(value) for value in parts]
        found = [branch for branch in branches if branch is not None]
        if len(found) < len(parts) or not _fit(parts, found):
            continue
        if not _cheaper(node, found, prices):
            declined("convolutions_of_one_input", node.name, "one convolution is not cheaper")
            continue
        _replace(parts, found, graph.nodes, builder)
        count += 1
    if count:
        remove_dead(graph.graph)
    return count


def _joins_channels(node: ir.Node) -> bool:
    if node.op_type != "Concat" or node.domain or len(node.inputs) < 2:
        return False
    rank = len(shape_of(node.outputs[0]))
    return rank in (3, 4) and int(node.attributes["axis"].as_int()) % rank == 1


def _branch(value: ir.Value) -> ConvBranch | None:
    """A convolution, or a sum of one that nothing else reads and another tensor."""
    node = value.producer()
    if value.is_graph_output() or node is None:
        return None
    if (kernel := kernel_of(node)) is not None and node.inputs[0] is not None:
        return ConvBranch(kernel, node.inputs[0], None)
    if not same_shape_sum(node) or len(node.inputs) != 2:
        return None
    for inner, residual in (tuple(node.inputs), tuple(node.inputs)[::-1]):
        assert inner is not None
        below = inner.producer()
        alone = len(inner.uses()) == 1 and not inner.is_graph_output()
        if alone and below is not None and (kernel := kernel_of(below)) is not None:
            assert below.inputs[0] is not None
            return ConvBranch(kernel, below.inputs[0], residual)
    return None


def _fit(parts: Sequence[ir.Value], branches: Sequence[ConvBranch]) -> bool:
    """Whether one convolution can replace all, and each reader reads all parts in this order."""
    first = branches[0]
    one = all(
        branch.source is first.source and branch.residual is first.residual for branch in branches
    )
    if not one or len(set(parts)) < len(parts):
        return False
    kernels = [branch.kernel for branch in branches]
    readers = {use.node for part in parts for use in part.uses()}
    return (
        same_params(kernels)
        and stacked(kernels).runs
        and all(_joins_channels(reader) and _run(reader, parts) is not None for reader in readers)
    )


def _run(reader: ir.Node, parts: Sequence[ir.Value]) -> int | None:
    """The consecutive positions of the parts in a Concat, if they are read nowhere else."""
    inputs = list(reader.inputs)
    if any(sum(value is part for value in inputs) != 1 for part in parts):
        return None
    start = next(i for i, value in enumerate(inputs) if value is parts[0])
    there = inputs[start : start + len(parts)]
    return start if all(a is b for a, b in zip(there, parts, strict=False)) else None


def _cheaper(node: ir.Node, branches: Sequence[ConvBranch], prices: Prices) -> bool:
    """By cost; the Concat of the parts is saved, or comes before the addition now."""
    shape = shape_of(branches[0].source)
    sizes = [bhwd(shape, branch.kernel.bias.size) for branch in branches]
    whole = bhwd(shape, shape_of(node.outputs[0])[1])
    apart = sum(branch.kernel.price(shape, prices) for branch in branches) + concat_price(
        sizes, prices
    )
    together = stacked([branch.kernel for branch in branches]).price(shape, prices)
    if branches[0].residual is not None:
        apart += sum(add_price(size, prices) for size in sizes)
        together += add_price(whole, prices) + concat_price(sizes, prices)
    return together < apart


def _replace(
    parts: Sequence[ir.Value],
    branches: Sequence[ConvBranch],
    order: Sequence[ir.Node],
    builder: FloatBuilder,
) -> None:
    """One convolution that replaces the parts for all their readers."""
    readers = sorted({use.node for part in parts for use in part.uses()}, key=order.index)
    first = branches[0]
    builder.at(readers[0])
    whole = stacked([branch.kernel for branch in branches]).put(first.source, builder)
    if first.residual is not None:
        beside = builder.op("Concat", [first.residual] * len(branches), {"axis": 1})
        whole = builder.op("Add", [beside, whole])
    for reader in readers:
        start = _run(reader, parts)
        assert start is not None
        operands = [*reader.inputs[:start], whole, *reader.inputs[start + len(parts) :]]
        if len(operands) > 1:
            builder.at(reader)
            builder.replace(reader, [builder.op("Concat", operands, {"axis": 1})])
        else:
            builder.replace(reader, [whole])
