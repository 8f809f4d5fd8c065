"""Integers and booleans that are data: masks, counts and positions, computed as floats.

A mask of int64 or bool, as tokenizers return it: 1 - mask, mask == 0, mask and not other, a sum of
it. The DSP computes them with the same whole numbers as floats. Integers that say where something
is (indices of Gather, sizes) are no data, and stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.casting import INTEGERS
from hexconv.onnx_graph.selections import LAYOUT

SIGNED = {ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64}
WHOLE = INTEGERS - {ir.DataType.BOOL}
WIDE = {ir.DataType.INT32, ir.DataType.INT64}
FLOAT = ir.DataType.FLOAT
ALL = (0, 1)
OPERANDS = {
    **dict.fromkeys(LAYOUT, (0,)),
    **dict.fromkeys(("Slice", "Expand", "Tile", "Split", "Gather", "GatherElements"), (0,)),
    **dict.fromkeys(("ReduceMax", "ReduceMin", "ReduceSum", "CumSum", "Cast", "Trilu"), (0,)),
    **dict.fromkeys(("Neg", "Abs", "Sign"), (0,)),
    **dict.fromkeys(("Add", "Sub", "Mul", "Min", "Max", "Equal"), ALL),
    **dict.fromkeys(("Less", "LessOrEqual", "Greater", "GreaterOrEqual"), ALL),
    "Where": (1, 2),
    "Pad": (0, 2),
    "Clip": (0, 1, 2),
}
"""At which inputs ops read numbers, and compute the same whole numbers as floats."""
MAY_WRAP = {"Sub", "Neg"}
"""Ops whose result an unsigned type may not have."""


def integer_data_as_floats(builder: FloatBuilder) -> None:
    """Inputs of integers or booleans that are data become float inputs, what is computed floats.

    A number that is the one condition of a Where or If stays what it is: a switch, to be bound.

    Args:
        builder: of a graph in canonical form, but for these types.
    """
    inputs = [value for value in builder.graph.inputs if value.uses() and not _is_switch(value)]
    for value in inputs:
        if value.dtype == ir.DataType.BOOL:
            _cast_inside(value, builder)
    whole = [value for value in inputs if value.dtype in WHOLE]
    region = _as_floats([*whole, *_cast_to_whole(builder.graph)])
    nodes = dict.fromkeys(
        node
        for value in region
        for node in (value.producer(), *(use.node for use in value.uses()))
        if node is not None
    )
    for value in region:
        value.dtype = FLOAT
    for node in nodes:
        _compute_floats(node, region, builder)


def _cast_inside(value: ir.Value, builder: FloatBuilder) -> None:
    """A float input in place of one of booleans, and a Cast to these for all that read it."""
    readers = [(use.node, use.idx) for use in value.uses()]
    value.dtype = FLOAT
    first = next((node for node in builder.graph if value in node.inputs), readers[0][0])
    truth = builder.at(first).op("Cast", [value], {"to": ir.DataType.BOOL.value})
    for node, position in readers:
        node.replace_input_with(position, truth)


def _is_switch(value: ir.Value) -> bool:
    """Whether a value of one element, or what is computed from it, is a condition for all."""
    pending = [value]
    for current in pending:  # it grows
        if current.shape is None or prod(shape_of(current)) != 1:
            continue
        for use in current.uses():
            if use.node.op_type == "Where" and use.idx == 0:
                return True
            pending += [output for output in use.node.outputs if output not in pending]
    return False


def _cast_to_whole(graph: ir.Graph) -> list[ir.Value]:
    """Booleans that are cast to integers."""
    found: list[ir.Value] = []
    for node in graph:
        source = node.inputs[0] if node.op_type == "Cast" and not node.domain else None
        if source is not None and source.dtype == ir.DataType.BOOL:
            found += [value for value in node.outputs if value.dtype in WHOLE]
    return found


def _as_floats(roots: Sequence[ir.Value]) -> dict[ir.Value, None]:
    """Those, and the integers computed from them, that may be floats; in order."""
    reached = {root: _reached(root) for root in roots}
    while True:
        region = dict.fromkeys(value for values in reached.values() for value in values)
        kept = {
            root: values
            for root, values in reached.items()
            if all(_is_number(value, region) for value in values)
        }
        if len(kept) == len(reached):
            return region
        reached = kept


def _reached(root: ir.Value) -> list[ir.Value]:
    """A value, and the integers that are computed from it as numbers."""
    found = {root: None}
    pending = [root]
    while pending:
        for use in pending.pop().uses():
            if use.idx not in _operands(use.node):
                continue
            fresh = [v for v in use.node.outputs if v.dtype in WHOLE and v not in found]
            found.update(dict.fromkeys(fresh))
            pending += fresh
    return list(found)


def _is_number(value: ir.Value, region: dict[ir.Value, None]) -> bool:
    """Whether all that reads a value computes the same with floats."""
    if value.is_graph_output():
        return False
    for use in value.uses():
        node, operands = use.node, _operands(use.node)
        if use.idx not in operands or not _stays_whole(node, value):
            return False
        others = [node.inputs[index] for index in operands if index < len(node.inputs)]
        if any(v is not None and v not in region and v.const_value is None for v in others):
            return False
    return True


def _stays_whole(node: ir.Node, value: ir.Value) -> bool:
    """Whether a node's type has every result, so that none wraps around."""
    if node.op_type == "Cast":
        target = ir.DataType(node.attributes["to"].as_int())
        return target not in WHOLE or target in WIDE or target == value.dtype
    return node.op_type not in MAY_WRAP or value.dtype in SIGNED


def _operands(node: ir.Node) -> Sequence[int]:
    if node.domain:
        return ()
    if node.op_type == "Concat":
        return range(len(node.inputs))
    return OPERANDS.get(node.op_type, ())


def _compute_floats(node: ir.Node, region: dict[ir.Value, None], builder: FloatBuilder) -> None:
    """Make a node compute floats of what it computed of integers."""
    if node.op_type == "Cast":
        _without_cast(node, region, builder)
        return
    builder.at(node)
    for position in _operands(node):
        value = node.inputs[position] if position < len(node.inputs) else None
        array = array_of(value)
        if array is not None and array.dtype.kind in "iu":
            node.replace_input_with(position, builder.const(array.astype(np.float32)))


def _without_cast(node: ir.Node, region: dict[ir.Value, None], builder: FloatBuilder) -> None:
    """A Cast between what are floats now is gone; one of booleans makes floats."""
    source, result = node.inputs[0], node.outputs[0]
    assert source is not None
    if source not in region:
        node.attributes["to"] = ir.AttrInt64("to", FLOAT.value)
    elif result.dtype != ir.DataType.BOOL:
        builder.at(node).replace(node, [source])
