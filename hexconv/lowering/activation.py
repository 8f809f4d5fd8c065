"""Activations that the library has, and every other function of one variable by a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hexconv.errors import UnsupportedOpError
from hexconv.lowering import lookup
from hexconv.lowering.annotations import notes_of
from hexconv.lowering.context import Context
from hexconv.lowering.elementwise import emit
from hexconv.lowering.registry import Tie, lowers
from hexconv.lowering.relayout import gather_axes
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range, cover, quantize_const

Values = npt.NDArray[np.float64]

UNIT = Range(1.0 / 255.0, 0)
"""The fixed output range of Sigmoid_8 and Softmax_8: 0..1."""
TANH = Range(1.0 / 127.0, 127)
"""The fixed output range of Tanh_8: -1..128/127 (op_tanh_d32.c)."""


def same_place(
    node: NodeView, ctx: Context, op: str, extra: list[float], value_range: Range | None
) -> None:
    """A unary op in its input's layout; a range of None is copied from it."""
    source, output = node.input(0), node.outputs[0]
    form = ctx.form(source)
    scalars = [ctx.builder.scalar(f"{output}/limit{i}", v) for i, v in enumerate(extra)]
    inputs = [*form.tensor.data_min_max, *scalars]
    tensor = ctx.builder.quantized(
        op,
        inputs,
        form.tensor.shape,
        value_range or form.tensor.range,
        name=output,
        static=value_range is not None or form.tensor.static,
    )
    ctx.bind_order(output, form.layout.order, tensor)


@lowers("Relu", tie=Tie.COPY)
def relu(node: NodeView, ctx: Context) -> None:
    """QuantizedRelu_8."""
    same_place(node, ctx, "QuantizedRelu_8", [], None)


@lowers("Clip", tie=Tie.COPY)
def clip(node: NodeView, ctx: Context) -> None:
    """QuantizedRelu_8, QuantizedReluX_8 or QuantizedClamp_8, depending on the bounds."""
    low, high = bounds(node, ctx)
    if low == 0.0 and high == math.inf:
        same_place(node, ctx, "QuantizedRelu_8", [], None)
    elif low == 0.0:
        same_place(node, ctx, "QuantizedReluX_8", [high], None)
    else:
        value_range = ctx.form(node.input(0)).tensor.range
        limits = [max(low, value_range.min), min(high, value_range.max)]
        same_place(node, ctx, "QuantizedClamp_8", limits, None)


def bounds(node: NodeView, ctx: Context) -> tuple[float, float]:
    """(low, high) of a Clip; a missing one is infinite."""
    found = []
    for index, default in ((1, -math.inf), (2, math.inf)):
        if not node.has(index):
            found.append(default)
            continue
        array = ctx.const(node.input(index))
        if array is None:
            raise UnsupportedOpError(
                "a bound of Clip that is computed", hint="make min and max constants"
            )
        found.append(float(np.asarray(array).reshape(-1)[0]))
    if found[0] > found[1]:
        raise UnsupportedOpError(f"Clip from {found[0]} to {found[1]}")
    return found[0], found[1]


@lowers("Sigmoid")
def sigmoid(node: NodeView, ctx: Context) -> None:
    """QuantizedSigmoid_8, always 0..1."""
    same_place(node, ctx, "QuantizedSigmoid_8", [], UNIT)


@lowers("Tanh")
def tanh(node: NodeView, ctx: Context) -> None:
    """QuantizedTanh_8, always -1..127/128."""
    same_place(node, ctx, "QuantizedTanh_8", [], TANH)


@lowers("HardSwish")
def hard_swish(node: NodeView, ctx: Context) -> None:
    """QuantizedHardSwish_8 with a static range."""
    value_range = ctx.range(node.outputs[0])
    same_place(node, ctx, "QuantizedHardSwish_8", [value_range.min, value_range.max], value_range)


@lowers("Softmax")
def softmax(node: NodeView, ctx: Context) -> None:
    """QuantizedSoftmax_8 works along D: the axis is laid out along D."""
    source, output = node.input(0), node.outputs[0]
    layout = along_depth(ctx, source, int(node.attr("axis", -1)))
    tensor = ctx.take(source, layout)
    result = ctx.builder.quantized(
        "QuantizedSoftmax_8", tensor.data_min_max, tensor.shape, UNIT, name=output
    )
    ctx.bind(output, layout, result)


def along_depth(ctx: Context, name: str, axis: int) -> Layout:
    """A layout with one axis on D, the others in their present order."""
    shape = ctx.shape(name)
    axis %= len(shape)
    order = [a for a in ctx.form(name).layout.order if shape[a] != 1 and a != axis]
    return gather_axes(shape, [*order, axis])


@lowers("LeakyRelu")
def leaky_relu(node: NodeView, ctx: Context) -> None:
    """QuantizedPRelu_8_V2 with one slope for all channels and a static range."""
    slope = float(node.attr("alpha", 0.01))
    source = node.input(0)
    form = ctx.form(source)
    depth = form.tensor.shape[3]
    _prelu(node, ctx, form.tensor, np.full(depth, slope), form.layout.order)


@lowers("PRelu")
def prelu(node: NodeView, ctx: Context) -> None:
    """A slope per channel along D, or one for all."""
    source = node.input(0)
    slopes = ctx.const(node.input(1))
    if slopes is None:
        raise UnsupportedOpError("slopes that are computed", hint="make the slope an initializer")
    shape = ctx.shape(source)
    if slopes.size == 1:
        form = ctx.form(source)
        depth = form.tensor.shape[3]
        values = np.full(depth, float(slopes.reshape(-1)[0]))
        _prelu(node, ctx, form.tensor, values, form.layout.order)
        return
    padded = (1,) * (len(shape) - slopes.ndim) + slopes.shape
    varying = [axis for axis, size in enumerate(padded) if size != 1]
    if len(varying) != 1:
        raise UnsupportedOpError(
            f"slopes of shape {slopes.shape}",
            why="the library takes one slope per channel",
            hint="use one slope per channel, or for the whole tensor",
        )
    order = [a for a in ctx.form(source).layout.order if shape[a] != 1 and a != varying[0]]
    layout = gather_axes(shape, [*order, varying[0]])
    _prelu(node, ctx, ctx.take(source, layout), slopes.reshape(-1), layout.order)


def _prelu(
    node: NodeView,
    ctx: Context,
    tensor: Tensor,
    slopes: npt.NDArray[np.floating],
    order: Sequence[int],
) -> None:
    output = node.outputs[0]
    name = f"{output}/slope"
    if notes_of(node.node).own_range and slopes.min() > 0.0 and slopes.max() <= 1.0:
        result = _prelu_own_range(ctx, tensor, slopes, output)
        ctx.bind_order(output, order, result)
        return
    value_range = ctx.range(output)
    quantized = quantize_const(np.asarray(slopes, np.float32).reshape(1, 1, 1, -1))
    inputs = [
        *tensor.data_min_max,
        ctx.builder.const(name, quantized.codes, quantized.range),
        *ctx.builder.minmax(name, quantized.range),
        *ctx.builder.minmax(output, value_range),
    ]
    result = ctx.builder.quantized(
        "QuantizedPRelu_8_V2", inputs, tensor.shape, value_range, name=output
    )
    ctx.bind_order(output, order, result)


def _prelu_own_range(
    ctx: Context, tensor: Tensor, slopes: npt.NDArray[np.floating], output: str
) -> Tensor:
    """QuantizedPRelu_8: float slopes; the library scales the range's negative end itself.

    The output range is fixed by the input's, but known here only to 1 LSB: not `static`, so a
    table behind it sets the range first.
    """
    alpha = np.asarray(slopes, np.float32).reshape(1, 1, 1, -1)
    inputs = [*tensor.data_min_max, ctx.builder.const(f"{output}/slope", alpha)]
    value_range = cover(tensor.range.min * float(slopes.max()), tensor.range.max)
    return ctx.builder.quantized(
        "QuantizedPRelu_8", inputs, tensor.shape, value_range, name=output, static=False
    )


@lowers("Sqrt")
def sqrt(node: NodeView, ctx: Context) -> None:
    """QuantizedSqrt_8 if the range starts at 0 (facts/shipped-library.md d); else a table."""
    source, output = node.input(0), node.outputs[0]
    form = ctx.form(source)
    tensor = form.tensor if form.tensor.static else ctx.pinned(source, form.tensor)
    if tensor.range.zero != 0:
        lookup.apply(ctx, source, lambda x: np.sqrt(np.maximum(x, 0.0)), output)
        return
    value_range = Range(math.sqrt(tensor.range.max) / 255.0, 0)
    result = ctx.builder.quantized(
        "QuantizedSqrt_8", tensor.data_min_max, tensor.shape, value_range, name=output
    )
    ctx.bind_order(output, form.layout.order, result)


@lowers("Pow")
def power(node: NodeView, ctx: Context) -> None:
    """A square is a product with itself; any other constant exponent, or base, a table."""
    base, exponent, output = node.input(0), node.input(1), node.outputs[0]
    numbers = [_number(ctx, name) for name in (base, exponent)]
    if numbers[1] == 2.0:
        square(ctx, base, output)
    elif numbers[1] is not None:
        value = numbers[1]
        lookup.apply(ctx, base, lambda x: np.power(x, value), output)
    elif numbers[0] is not None:
        value = numbers[0]
        lookup.apply(ctx, exponent, lambda x: np.power(value, x), output)
    else:
        raise UnsupportedOpError(
            "a power whose base and exponent both vary",
            hint="use one constant exponent, or write it as Exp(y * Log(x))",
        )


@lowers("Mod")
def remainder(node: NodeView, ctx: Context) -> None:
    """A constant divisor: a table."""
    divisor, output = _number(ctx, node.input(1)), node.outputs[0]
    if not divisor or ctx.shape(node.input(0)) != ctx.shape(output):
        raise UnsupportedOpError(
            "a remainder by something other than one constant", hint="use a scalar constant divisor"
        )
    function = np.fmod if int(node.attr("fmod", 0)) else np.mod
    lookup.apply(ctx, node.input(0), lambda x: function(x, divisor), output)


def _number(ctx: Context, name: str) -> float | None:
    """The one value of a constant; None for anything else."""
    array = ctx.const(name)
    if array is None or array.size == 0 or not bool((array == array.reshape(-1)[0]).all()):
        return None
    return float(array.reshape(-1)[0])


def square(ctx: Context, source: str, output: str) -> None:
    """x * x (QuantizedMul_8x8to8 with a static range)."""
    form = ctx.form(source)
    tensor = form.tensor
    result = emit(ctx, "Mul", tensor, tensor, tensor.shape, ctx.range(output), output)
    ctx.bind_order(output, form.layout.order, result)
