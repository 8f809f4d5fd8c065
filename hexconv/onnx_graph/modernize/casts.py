"""All floats are float32 in the canonical form, so casts between them are removed."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rules import MODERNIZATIONS

FLOATS = {
    ir.DataType.FLOAT,
    ir.DataType.FLOAT16,
    ir.DataType.BFLOAT16,
    ir.DataType.DOUBLE,
}
"""No float8: it rounds more coarsely than the DSP's 8 bits over one range, and saturates."""


@MODERNIZATIONS.rule("CastLike")
def cast_like(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """CastLike becomes Cast: the type to cast to is known."""
    value, like = node.inputs
    assert value is not None and like is not None and like.dtype is not None
    if value.dtype == like.dtype:
        return [value]
    return [builder.op("Cast", [value], {"to": like.dtype.value}, name=str(node.name))]


@MODERNIZATIONS.rule("Cast")
def cast(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """A cast to the value's own type is removed; one to any float is to float32."""
    value = node.inputs[0]
    target = ir.DataType(node.attributes["to"].as_int())
    if target in FLOATS:
        target = ir.DataType.FLOAT
        node.attributes["to"] = ir.AttrInt64("to", target.value)
    if value is not None and value.dtype == target:
        return [value]
    return None


@MODERNIZATIONS.rule("EyeLike", "DequantizeLinear")
def float_dtype(node: ir.Node, builder: FloatBuilder) -> None:
    """`dtype` and `output_dtype` that name another float mean float32."""
    for name in ("dtype", "output_dtype"):
        attr = node.attributes.get(name)
        if attr is not None and attr.as_int() and ir.DataType(attr.as_int()) in FLOATS:
            node.attributes[name] = ir.AttrInt64(name, ir.DataType.FLOAT.value)
