"""Slices of a concatenation, and concatenations of slices."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.optimize.registry import Stage, rewrite


@dataclass(frozen=True)
class SliceCut:
    """A value that is `size` elements of `source` from `start` along `axis`."""

    source: ir.Value
    axis: int
    start: int
    size: int


@rewrite(Stage.FLOAT)
def slices_and_concats(graph: FloatGraph) -> int:
    """A Concat of all slices of a tensor is the tensor; a slice of a Concat's operand is it."""
    builder = FloatBuilder(graph.graph)
    count = 0
    for node in graph.nodes:
        if node.graph is None or node.domain:
            continue
        whole = _rejoined(node)
        if whole is not None and not node.outputs[0].is_graph_output():
            builder.at(node).replace(node, [whole])
            count += 1
            continue
        for output in node.outputs:
            part = _operand(cut_of(output))
            if part is not None and not output.is_graph_output():
                ir.convenience.replace_all_uses_with(output, part)
                count += 1
    if count:
        remove_dead(graph.graph)
    return count


def cut_of(value: ir.Value | None) -> SliceCut | None:
    """The source of a Split's output, or of a Slice along one axis with step 1."""
    node = value.producer() if value is not None else None
    if node is None or value is None or node.domain or node.op_type not in ("Split", "Slice"):
        return None
    if node.inputs[0] is None:
        return None
    shape = shape_of(node.inputs[0])
    if node.op_type == "Split":
        attr = node.attributes.get("axis")
        axis = (int(attr.as_int()) if attr is not None else 0) % len(shape)
        before = node.outputs[: list(node.outputs).index(value)]
        start = sum(shape_of(part)[axis] for part in before)
        return SliceCut(node.inputs[0], axis, start, shape_of(value)[axis])
    starts, ends, axes, steps = (_ints(node, position) for position in range(1, 5))
    if starts is None or ends is None or len(starts) != 1 or (steps or [1]) != [1]:
        return None
    axis = (axes or [0])[0] % len(shape)
    first, last, _ = slice(starts[0], ends[0]).indices(shape[axis])
    return SliceCut(node.inputs[0], axis, first, last - first)


def _ints(node: ir.Node, position: int) -> list[int] | None:
    array = array_of(node.inputs[position]) if position < len(node.inputs) else None
    return None if array is None else [int(number) for number in array.reshape(-1)]


def _rejoined(node: ir.Node) -> ir.Value | None:
    """The tensor whose slices, all and in order, a Concat joins."""
    if node.op_type != "Concat":
        return None
    cuts = [cut_of(value) for value in node.inputs]
    first = cuts[0]
    rank = len(shape_of(node.outputs[0]))
    if first is None or int(node.attributes["axis"].as_int()) % rank != first.axis:
        return None
    position = 0
    for cut in cuts:
        if cut is None or cut.source is not first.source or cut.axis != first.axis:
            return None
        if cut.start != position:
            return None
        position += cut.size
    return first.source if position == shape_of(first.source)[first.axis] else None


def _operand(cut: SliceCut | None) -> ir.Value | None:
    """The operand of a Concat that a slice extracts completely."""
    node = cut.source.producer() if cut is not None else None
    if cut is None or node is None or node.op_type != "Concat" or node.domain:
        return None
    if int(node.attributes["axis"].as_int()) % len(shape_of(cut.source)) != cut.axis:
        return None
    position = 0
    for value in node.inputs:
        assert value is not None
        size = shape_of(value)[cut.axis]
        if position == cut.start and size == cut.size:
            return value
        position += size
    return None
