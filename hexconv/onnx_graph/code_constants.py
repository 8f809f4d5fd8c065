"""Constants that ops on a quantizer's integers read: bounds, fillings, branches, as floats."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.codes import Codes

BOUNDED = {"Clip": (1, 2), "Max": (), "Min": (), "Relu": (), "Where": (1, 2)}
"""Ops on integers with constants, and which inputs these are where not any of them may be one."""


def others_constant(node: ir.Node, value: ir.Value, position: int) -> bool:
    """Whether what bounds integers is known; a concatenation joins any integers.

    Args:
        node: that reads them.
        value: the integers.
        position: where it reads them.
    """
    if node.op_type not in BOUNDED:
        return True
    if node.op_type == "Where":
        return position > 0 and array_of(node.inputs[3 - position]) is not None
    arrays = [array_of(item) for item in node.inputs if item is not None and item is not value]
    sizes = [-1 if array is None else array.size for array in arrays]
    return all(size > 0 if node.op_type in ("Max", "Min") else size == 1 for size in sizes)


def with_values(node: ir.Node, codes: Codes, builder: FloatBuilder) -> ir.Node:
    """A node with floats for its constants; it reads floats for the integers already.

    Args:
        node: of `BOUNDED`, a Pad, or one without constants of that kind.
        codes: what the integers stand for.
        builder: at the node.

    Returns:
        The node, or the Clip that replaces it.
    """
    if node.op_type in ("Clip", "Relu") or _has_numbers(node):
        return _clip(node, codes, builder)
    if node.op_type == "Pad":
        _pad_value(node, codes, builder)
    elif node.op_type in BOUNDED:
        _arrays(node, codes, builder)
    builder.infer(node)
    return node


def _has_numbers(node: ir.Node) -> bool:
    """Whether a Max or Min has no bounds but single numbers."""
    arrays = [array_of(value) for value in node.inputs]
    single = all(array is None or array.size == 1 for array in arrays)
    return node.op_type in ("Max", "Min") and single


def _clip(node: ir.Node, codes: Codes, builder: FloatBuilder) -> ir.Node:
    """A Clip of floats for a bound, or bounds, of integers."""
    low, high = None, None
    if node.op_type == "Relu":
        low = 0.0
    elif node.op_type == "Clip":
        low, high = (_number(node, position) for position in (1, 2))
    else:
        constants = [array_of(value) for value in node.inputs]
        numbers = [float(array.item()) for array in constants if array is not None]
        low, high = (max(numbers), None) if node.op_type == "Max" else (None, min(numbers))
    source = next(v for v in node.inputs if v is not None and array_of(v) is None)
    limits = [None if code is None else np.float32(codes.value(code)) for code in (low, high)]
    result = builder.op("Clip", [source, *limits], name=str(node.name))
    clip = result.producer()
    assert clip is not None
    builder.replace(node, [result])
    return clip


def _arrays(node: ir.Node, codes: Codes, builder: FloatBuilder) -> None:
    """Floats for the arrays of integers that a Max, Min or Where reads."""
    for position in BOUNDED[node.op_type] or range(len(node.inputs)):
        array = array_of(node.inputs[position])
        if array is not None:
            values = (array.astype(np.float64) - codes.zero) * codes.scale
            name = f"{node.name}_values"
            node.replace_input_with(position, builder.const(np.float32(values), name))


def _number(node: ir.Node, position: int) -> float | None:
    array = array_of(node.inputs[position]) if position < len(node.inputs) else None
    return None if array is None else float(array.item())


def _pad_value(node: ir.Node, codes: Codes, builder: FloatBuilder) -> None:
    """The constant that a Pad of integers adds, 0 unless stated, as a float."""
    mode = node.attributes.get("mode")
    if mode is not None and mode.as_string() != "constant":
        return
    number = np.float32(codes.value(_number(node, 2) or 0.0))
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, builder.const(number, f"{node.name}_value"))
