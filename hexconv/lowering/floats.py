"""Ops computed in float32 on the DSP, between Dequantize and Quantize.

For what int8 cannot or should not compute. Only float ops that the library computes correctly
(docs/nnlib/shipped-library.md#float-ops) are emitted. A float op that reads another
one's output in the same layout reads its float32, not its quantized values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hexconv.annotations import notes_of
from hexconv.arrays import Array
from hexconv.errors import UnsupportedOpError
from hexconv.lowering.activation import along_depth
from hexconv.lowering.broadcast import common_layout, operand
from hexconv.lowering.context import Context
from hexconv.lowering.elementwise import reciprocal_of
from hexconv.lowering.relayout import gather_axes
from hexconv.lowering.shape import concat_layout
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.graph import Output, Ref
from hexconv.nnlib.layout import Layout, Shape4
from hexconv.onnx_graph import NodeView
from hexconv.registry import Registry


@dataclass(frozen=True)
class FloatTensor:
    """A float32 tensor in the graph under construction."""

    ref: Ref
    shape: Shape4


Function = Callable[[NodeView, Context], None]
FORMS: Registry[Function] = Registry("float form")
"""The float form of each ONNX op that has one."""
in_float = FORMS.register


def op_of(node: NodeView) -> str:
    """The ONNX op of a node, computed in float or not."""
    return notes_of(node.node).onnx_op or node.op


def dequantized(ctx: Context, tensor: Tensor, name: str) -> FloatTensor:
    """The float32 source of a quantized tensor, if it is in the graph; else a Dequantize."""
    known = ctx.floats.get(tensor.data_min_max)
    if known is None:
        node = ctx.builder.node(
            "Dequantize",
            tensor.data_min_max,
            [Output(tensor.shape, "float32")],
            name=f"{name}/float",
        )
        known = ctx.floats[tensor.data_min_max] = Ref(node)
    return FloatTensor(known, tensor.shape)


def emit(ctx: Context, op: str, inputs: Sequence[Ref], shape: Shape4, name: str) -> FloatTensor:
    """One node with a float32 output."""
    return FloatTensor(
        Ref(ctx.builder.node(op, inputs, [Output(shape, "float32")], name=name)), shape
    )


def quantized(ctx: Context, real: FloatTensor, name: str) -> Tensor:
    """The quantized values of an ONNX value in its calibrated range (Quantize)."""
    value_range = ctx.range(name)
    inputs = [real.ref, *ctx.builder.minmax(name, value_range)]
    tensor = ctx.builder.quantized("Quantize", inputs, real.shape, value_range, name=name)
    ctx.floats[tensor.data_min_max] = real.ref
    return tensor


def returned(ctx: Context, name: str, layout: Layout) -> FloatTensor:
    """The float32 that a float op computed for an ONNX value, in a layout."""
    form, shape = ctx.form(name), ctx.shape(name)
    real = dequantized(ctx, form.tensor, name)
    order, wanted = ([a for a in item.order if shape[a] != 1] for item in (form.layout, layout))
    if order != wanted:
        real = _in_order(ctx, real, order, wanted, [shape[axis] for axis in order], name)
    return _reshaped(ctx, real, layout.shape(shape), f"{name}/returned")


def _in_order(
    ctx: Context,
    real: FloatTensor,
    order: Sequence[int],
    wanted: Sequence[int],
    sizes: Sequence[int],
    name: str,
) -> FloatTensor:
    """Axes of given sizes, in another order."""
    _check_axes(order)
    lead = 4 - len(order)
    b, h, w, d = (1,) * lead + tuple(sizes)
    apart = _reshaped(ctx, real, (b, h, w, d), f"{name}/apart")
    places = [*range(lead), *(lead + order.index(axis) for axis in wanted)]
    b, h, w, d = (apart.shape[place] for place in places)
    inputs = [apart.ref, ctx.builder.ints(f"{name}/order", places)]
    return emit(ctx, "Transpose_f", inputs, (b, h, w, d), f"{name}/in_order")


def _check_axes(order: Sequence[int]) -> None:
    if len(order) > 4:
        raise UnsupportedOpError(
            f"a transpose of {len(order)} axes", why="the library supports 4 axes"
        )


def _reshaped(ctx: Context, real: FloatTensor, shape: Shape4, name: str) -> FloatTensor:
    """The same data in another shape."""
    if real.shape == shape:
        return real
    return emit(ctx, "Reshape", [real.ref, ctx.builder.ints(f"{name}_sizes", shape)], shape, name)


UNARY = {
    "Tanh": "Tanh_f",
    "Sigmoid": "Sigmoid_f",
    "Relu": "Relu_f",
    "Neg": "Neg_f",
    "Abs": "Abs_f",
    "Floor": "Floor_f",
    "Ceil": "Ceil_f",
}


@in_float(*UNARY)
def unary(node: NodeView, ctx: Context) -> None:
    """One float op, in the layout that the input has."""
    _in_place(node, ctx, lambda x, name: emit(ctx, UNARY[op_of(node)], [x.ref], x.shape, name))


@in_float("LeakyRelu")
def leaky_relu(node: NodeView, ctx: Context) -> None:
    """PRelu_f with one slope."""
    slope = float(node.attr("alpha", 0.01))

    def made(x: FloatTensor, name: str) -> FloatTensor:
        inputs = [x.ref, ctx.builder.scalar(f"{name}/slope", slope)]
        return emit(ctx, "PRelu_f", inputs, x.shape, name)

    _in_place(node, ctx, made)


def _in_place(
    node: NodeView, ctx: Context, made: Callable[[FloatTensor, str], FloatTensor]
) -> None:
    source, output = node.input(0), node.outputs[0]
    form = ctx.form(source)
    real = made(dequantized(ctx, form.tensor, source), f"{output}/real")
    ctx.bind_order(output, form.layout.order, quantized(ctx, real, output))


BINARY = {
    "Add": "Add_f",
    "Sum": "Add_f",
    "Sub": "Sub_f",
    "Mul": "Mul_f",
    "Max": "Maximum_f",
    "Min": "Minimum_f",
}


@in_float(*BINARY)
def combine(node: NodeView, ctx: Context) -> None:
    """Two operands per node, as many nodes as needed; ONNX broadcasting."""
    names = [node.input(position) for position in range(len(node.inputs))]
    output = node.outputs[0]
    layout = common_layout(ctx, names, output)
    operands = [_operand(ctx, name, layout, ctx.shape(output)) for name in names]
    result = operands[0]
    for position, other in enumerate(operands[1:], start=1):
        result = _binary(ctx, BINARY[op_of(node)], result, other, f"{output}/real{position}")
    _bind(ctx, output, layout, result)


@in_float("Div")
def divide(node: NodeView, ctx: Context) -> None:
    """By a constant: Mul_f with its reciprocal; the library has no division."""
    numerator, divisor = node.input(0), ctx.const(node.input(1))
    if divisor is None or not np.all(divisor):
        raise UnsupportedOpError(
            "a division by something other than a constant without zeros",
            why="the library has no Div_f",
            hint="compute this node in int8",
        )
    output = node.outputs[0]
    shape = ctx.shape(output)
    layout = common_layout(ctx, [numerator, node.input(1)], output)
    left = _operand(ctx, numerator, layout, shape)
    reciprocal = reciprocal_of(divisor)
    right = _const(ctx, f"{output}/reciprocal", reciprocal, layout, shape)
    _bind(ctx, output, layout, _binary(ctx, "Mul_f", left, right, f"{output}/real"))


@in_float("PRelu")
def prelu(node: NodeView, ctx: Context) -> None:
    """max(x, 0) - slope * max(-x, 0): slopes of any shape, constant or computed."""
    names, output = [node.input(0), node.input(1)], node.outputs[0]
    layout = common_layout(ctx, names, output)
    x, slope = (_operand(ctx, name, layout, ctx.shape(output)) for name in names)
    above = emit(ctx, "Relu_f", [x.ref], x.shape, f"{output}/above")
    turned = emit(ctx, "Neg_f", [x.ref], x.shape, f"{output}/negative")
    below = emit(ctx, "Relu_f", [turned.ref], x.shape, f"{output}/below")
    scaled = _binary(ctx, "Mul_f", below, slope, f"{output}/scaled")
    _bind(ctx, output, layout, _binary(ctx, "Sub_f", above, scaled, f"{output}/real"))


@in_float("Clip")
def clip(node: NodeView, ctx: Context) -> None:
    """Maximum_f and Minimum_f: bounds may be computed."""
    source, output = node.input(0), node.outputs[0]
    bounds = [
        (op, node.input(position))
        for position, op in ((1, "Maximum_f"), (2, "Minimum_f"))
        if node.has(position) and not _infinite(ctx.const(node.input(position)))
    ]
    node.done(1, 2)
    layout = common_layout(ctx, [source], output)
    result = _operand(ctx, source, layout, ctx.shape(output))
    for op, bound in bounds:
        limit = _operand(ctx, bound, layout, ctx.shape(output))
        result = _binary(ctx, op, result, limit, f"{output}/{op}")
    _bind(ctx, output, layout, result)


@in_float("Softmax")
def softmax(node: NodeView, ctx: Context) -> None:
    """Softmax_f works along D: the axis is laid out along D."""
    _along_depth(node, ctx, "Softmax_f")


@in_float("LogSoftmax")
def log_softmax(node: NodeView, ctx: Context) -> None:
    """LogSoftmax_f works along D: the axis is laid out along D."""
    _along_depth(node, ctx, "LogSoftmax_f")


def _along_depth(node: NodeView, ctx: Context, op: str) -> None:
    source, output = node.input(0), node.outputs[0]
    layout = along_depth(ctx, source, int(node.attr("axis", -1)))
    x = dequantized(ctx, ctx.take(source, layout), source)
    _bind(ctx, output, layout, emit(ctx, op, [x.ref], x.shape, f"{output}/real"))


@in_float("Concat")
def concat(node: NodeView, ctx: Context) -> None:
    """Concat_f along the BHWD axis of the concatenated axis."""
    output = node.outputs[0]
    shape = ctx.shape(output)
    axis = int(node.attr("axis", 0)) % len(shape)
    names = [node.input(position) for position in range(len(node.inputs))]
    layout = concat_layout(ctx, names, shape, axis)
    parts = []
    for name in names:
        array = ctx.const(name)
        if array is None:
            parts.append(dequantized(ctx, ctx.take(name, layout), name).ref)
        else:
            parts.append(ctx.builder.const(f"{name}/float", layout.pack(_float32(array))))
    place = next(place for place, axes in enumerate(layout.axes) if axis in axes)
    inputs = [ctx.builder.ints(f"{output}/axis", [place]), *parts]
    _bind(ctx, output, layout, emit(ctx, "Concat_f", inputs, layout.shape(shape), f"{output}/real"))


@in_float("Transpose")
def transpose(node: NodeView, ctx: Context) -> None:
    """Transpose_f of the axes that have more than one element, at most four."""
    source, output = node.input(0), node.outputs[0]
    shape = ctx.shape(source)
    order = [axis for axis in range(len(shape)) if shape[axis] != 1]
    _check_axes(order)
    perm = list(node.attr("perm", list(range(len(shape)))[::-1]))
    moved = [order.index(axis) for axis in perm if axis in order]
    lead = 4 - len(order)
    places = [*range(lead), *(place + lead for place in moved)]
    x = dequantized(ctx, ctx.take(source, gather_axes(shape, order)), source)
    b, h, w, d = (x.shape[place] for place in places)
    inputs = [x.ref, ctx.builder.ints(f"{output}/perm", places)]
    real = emit(ctx, "Transpose_f", inputs, (b, h, w, d), f"{output}/real")
    target = ctx.shape(output)
    kept_axes = [axis for axis in range(len(target)) if target[axis] != 1]
    _bind(ctx, output, gather_axes(target, kept_axes), real)


@in_float("MatMul")
def matmul(node: NodeView, ctx: Context) -> None:
    """MatMul_f: the right operand a matrix, constant or computed."""
    names, output = [node.input(0), node.input(1)], node.outputs[0]
    left, right = (ctx.shape(name) for name in names)
    if len(right) != 2 or len(left) < 2:
        raise UnsupportedOpError(
            f"a product of {list(left)} and {list(right)} in float",
            why="MatMul_f takes one matrix on the right",
            hint="compute this node in int8",
        )
    rows = math.prod(left[:-1])
    flat = Layout(((), (), tuple(range(len(left) - 1)), (len(left) - 1,)))
    operands = []
    for name, layout in zip(names, (flat, Layout.plain(2)), strict=True):
        array = ctx.const(name)
        if array is None:
            operands.append(dequantized(ctx, ctx.take(name, layout), name).ref)
        else:
            operands.append(ctx.builder.const(f"{name}/float", layout.pack(_float32(array))))
    size = (1, 1, rows, right[1])
    _bind(ctx, output, flat, emit(ctx, "MatMul_f", operands, size, f"{output}/real"))


def _operand(ctx: Context, name: str, layout: Layout, shape: tuple[int, ...]) -> FloatTensor:
    """An operand that broadcasts in B, H, W, D to `shape` under `layout`."""
    array = ctx.const(name)
    if array is not None:
        return _const(ctx, f"{name}/float", array, layout, shape)
    return dequantized(ctx, operand(ctx, name, layout, shape), name)


def _const(
    ctx: Context, name: str, array: Array, layout: Layout, shape: tuple[int, ...]
) -> FloatTensor:
    """A constant operand; repeated to its full size where its own shape does not broadcast."""
    padded = _float32(array).reshape((1,) * (len(shape) - array.ndim) + array.shape)
    packed = layout.pack(padded)
    if not all(h in (1, w) for h, w in zip(packed.shape, layout.shape(shape), strict=True)):
        packed = layout.pack(np.broadcast_to(padded, shape))
    b, h, w, d = packed.shape
    return FloatTensor(ctx.builder.const(name, packed), (b, h, w, d))


def _binary(ctx: Context, op: str, left: FloatTensor, right: FloatTensor, name: str) -> FloatTensor:
    b, h, w, d = (max(pair) for pair in zip(left.shape, right.shape, strict=True))
    return emit(ctx, op, [left.ref, right.ref], (b, h, w, d), name)


def _bind(ctx: Context, output: str, layout: Layout, real: FloatTensor) -> None:
    ctx.bind(output, layout, quantized(ctx, real, output))


def _infinite(bound: Array | None) -> bool:
    """Whether a constant bound has no effect."""
    return bound is not None and bool(np.isinf(bound).all())


def _float32(array: Array) -> Array:
    return np.asarray(array, np.float32)
