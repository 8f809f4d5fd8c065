"""Outputs of a quantizer's integers: the DSP returns the same numbers as floats.

Each becomes a Cast of the integers to float, which `quantized.take_ranges` replaces by arithmetic
on the float that was quantized: value / scale + zero point, within the ends of the integers' type.
"""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.selections import SELECTIONS

NARROW = {
    getattr(ir.DataType, name)
    for name in ("INT4", "UINT4", "INT8", "UINT8", "INT16", "UINT16", "INT2", "UINT2")
    if hasattr(ir.DataType, name)
}
"""The integers that QuantizeLinear makes."""
THROUGH = {*SELECTIONS, "Clip", "Concat", "Max", "Min", "Pad", "Relu", "Resize", "Where"}
"""Ops on integers between the quantizer and the output."""


def codes_as_floats(builder: FloatBuilder) -> tuple[str, ...]:
    """Let outputs of a quantizer's integers be casts of them to float.

    Args:
        builder: of a graph in canonical form, before `quantized.take_ranges`.

    Returns:
        "'y' is uint8" for each.
    """
    graph, found = builder.graph, []
    for position, value in enumerate(list(graph.outputs)):
        if value.dtype not in NARROW or not _quantized(value):
            continue
        assert value.dtype is not None
        found.append(f"'{value.name}' is {value.dtype.name.lower()}")
        name = str(value.name)
        value.name = builder.fresh(f"{name}_integers")
        builder.before = None
        cast = builder.op("Cast", [value], {"to": ir.DataType.FLOAT.value}, name=f"{name}_as_float")
        cast.name = name
        graph.outputs[position] = cast
    return tuple(found)


def _quantized(value: ir.Value) -> bool:
    """Whether integers come from a QuantizeLinear."""
    pending, seen = [value], {value}
    for current in pending:  # it grows
        node = current.producer()
        if node is None or node.domain:
            continue
        if node.op_type == "QuantizeLinear":
            return True
        if node.op_type in THROUGH:
            fresh = [item for item in node.inputs if item is not None and item not in seen]
            seen.update(fresh)
            pending += fresh
    return False


def is_cast_to_float(node: ir.Node) -> bool:
    """Whether a node makes floats of what it reads, number by number."""
    to = None if node.op_type != "Cast" or node.domain else node.attributes["to"].as_int()
    return to == ir.DataType.FLOAT.value
