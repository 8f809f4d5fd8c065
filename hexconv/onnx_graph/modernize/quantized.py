"""Ops of quantized models as the float op between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.rules import MODERNIZATIONS

Triple = tuple[ir.Value | None, ir.Value | None, ir.Value | None]


def _float(codes: Triple, builder: FloatBuilder, axis: int | None = None) -> ir.Value:
    if (value := _of_float_input(codes, builder)) is not None:
        return value
    attrs = {} if axis is None else {"axis": axis}
    return builder.op("DequantizeLinear", list(codes), attrs)


def _codes(
    value: ir.Value, scale: ir.Value | None, zero: ir.Value | None, name: str, builder: FloatBuilder
) -> list[ir.Value]:
    return [builder.op("QuantizeLinear", [value, scale, zero], name=name)]


def _triple(node: ir.Node, first: int) -> Triple:
    values = [*node.inputs, None, None, None][first : first + 3]
    return values[0], values[1], values[2]


def _attributes(node: ir.Node, *names: str) -> dict[str, object]:
    return {name: node.attributes[name].value for name in names if name in node.attributes}


@MODERNIZATIONS.rule("QLinearConv")
def convolution(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """x, w, y as (values, scale, zero point); the bias is int32 with x's scale times w's."""
    x, w = _triple(node, 0), _triple(node, 3)
    scale, zero, bias = node.inputs[6], node.inputs[7], _triple(node, 8)[0]
    by_channel = array_of(w[1])
    axis = 0 if by_channel is not None and by_channel.size > 1 else None
    inputs: list[ir.Value] = [_float(x, builder), _float(w, builder, axis)]
    if bias is not None:
        step = builder.op("Mul", [x[1], w[1]])
        number = builder.op("Cast", [bias], {"to": ir.DataType.FLOAT.value})
        inputs.append(builder.op("Mul", [number, step]))
    names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    result = builder.op("Conv", inputs, _attributes(node, *names))
    return _codes(result, scale, zero, str(node.name), builder)


@MODERNIZATIONS.rule("QLinearMatMul")
def matrix_product(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """a, b, y as (values, scale, zero point)."""
    b = _triple(node, 3)
    by_column = array_of(b[1])
    axis = 1 if by_column is not None and by_column.size > 1 else None
    left, right = _float(_triple(node, 0), builder), _float(b, builder, axis)
    result = builder.op("MatMul", [left, right])
    return _codes(result, node.inputs[6], node.inputs[7], str(node.name), builder)


@MODERNIZATIONS.rule("com.microsoft::QLinearAdd", "com.microsoft::QLinearMul")
def binary(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """ONNX Runtime's own quantized sums and products."""
    operands = [_float(_triple(node, first), builder) for first in (0, 3)]
    result = builder.op(node.op_type.removeprefix("QLinear"), operands)
    scale, zero, _ = _triple(node, 6)
    return _codes(result, scale, zero, str(node.name), builder)


@MODERNIZATIONS.rule(
    "com.microsoft::QLinearSigmoid",
    "com.microsoft::QLinearLeakyRelu",
    "com.microsoft::QLinearGlobalAveragePool",
    "com.microsoft::QLinearAveragePool",
    "com.microsoft::QLinearSoftmax",
)
def unary(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """ONNX Runtime's own quantized activations and pools."""
    if integer_flag(node, "channels_last"):
        return None
    attrs = {
        name: attr.value
        for name, attr in node.attributes.items()
        if name not in ("channels_last", "opset")
    }
    result = builder.op(
        node.op_type.removeprefix("QLinear"), [_float(_triple(node, 0), builder)], attrs
    )
    scale, zero, _ = _triple(node, 3)
    return _codes(result, scale, zero, str(node.name), builder)


@MODERNIZATIONS.rule("com.microsoft::QLinearConcat")
def joined(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """y's scale and zero point first, then the parts."""
    parts = [_float(_triple(node, first), builder) for first in range(2, len(node.inputs), 3)]
    result = builder.op("Concat", parts, _attributes(node, "axis"))
    return _codes(result, node.inputs[0], node.inputs[1], str(node.name), builder)


@MODERNIZATIONS.rule("com.microsoft::QLinearWhere")
def chosen(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """A condition, x, y as (values, scale, zero point), and z's scale and zero point."""
    x, y = (_float(_triple(node, first), builder) for first in (1, 4))
    result = builder.op("Where", [node.inputs[0], x, y])
    return _codes(result, node.inputs[7], node.inputs[8], str(node.name), builder)


@MODERNIZATIONS.rule("com.microsoft::QGemm")
def gemm(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """a, b as (values, scale, zero point), an int32 bias, and y's; without y's a float output."""
    a, b, bias = _triple(node, 0), _triple(node, 3), _triple(node, 6)[0]
    by_column = array_of(b[1])
    transposed = integer_flag(node, "transB")
    axis = (0 if transposed else 1) if by_column is not None and by_column.size > 1 else None
    inputs = [_float(a, builder), _float(b, builder, axis)]
    attrs = _attributes(node, "transA", "transB", "alpha")
    if bias is not None:
        number = builder.op("Cast", [bias], {"to": ir.DataType.FLOAT.value})
        given = node.attributes.get("alpha")
        alpha = np.float32(1.0 if given is None else given.as_float())
        step = builder.op("Mul", [builder.op("Mul", [a[1], b[1]]), alpha])
        inputs.append(builder.op("Mul", [number, step]))
    result = builder.op("Gemm", inputs, attrs)
    scale, zero, _ = _triple(node, 7)
    return [result] if scale is None else _codes(result, scale, zero, str(node.name), builder)


@MODERNIZATIONS.rule("com.microsoft::QuantizeLinear", "com.microsoft::DequantizeLinear")
def onnx_own(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """ONNX Runtime's older names of ONNX's own ops."""
    attrs = _attributes(node, "axis")
    return [builder.op(node.op_type, list(node.inputs), attrs, name=str(node.name))]


@MODERNIZATIONS.rule("DequantizeLinear")
def of_float_input(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """(x - zero) * scale, where x is an input of integers that became one of floats."""
    value = _of_float_input(_triple(node, 0), builder, str(node.name))
    return None if value is None else [value]


def _of_float_input(codes: Triple, builder: FloatBuilder, name: str = "") -> ir.Value | None:
    value, scale, zero = codes
    factor = array_of(scale)
    if value is None or value.dtype != ir.DataType.FLOAT or array_of(value) is not None:
        return None
    if factor is None or factor.size != 1:
        return None
    if zero is not None:
        value = builder.op("Sub", [value, builder.op("Cast", [zero], {"to": 1})])
    return builder.op("Mul", [value, np.float32(factor.item())], name=name)


def integer_flag(node: ir.Node, name: str) -> bool:
    """Whether an integer attribute is given and not 0."""
    attr = node.attributes.get(name)
    return attr is not None and bool(attr.as_int())
