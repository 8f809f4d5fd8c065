"""Activations that the library has, and every other function of one variable by a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hexconv.annotations import notes_of
from hexconv.errors import UnsupportedOpError
from hexconv.lowering import lookup
from hexconv.lowering.context import Context
from hexconv.lowering.elementwise import emit
from hexconv.lowering.range_groups import WORTH
from hexconv.lowering.registry import Tie, lowers
from hexconv.lowering.relayout import gather_axes
from hexconv.nnlib.builder import RangeSource, Tensor, ranges_of
from hexconv.nnlib.constraints import WIDEST_SOFTMAX
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range, cover, quantize_const
from hexconv.quantize.fixed_ranges import SMALL, TANH, UNIT

Values = npt.NDArray[np.float64]

STEEPEST_SOFTMAX = 20_000.0
"""Range times beta where scores are further apart than the library allows: a level is then 78, and
exp(-78) nothing, as the true distance is."""
LONGEST_SOFTMAX = 32768
"""Rows of 32,000 are right, rows of 40,000 crash the v60 library."""
LEAST_SLOPE = 1 / 128
"""Of PRelu_8, which keeps slopes in units of it: it fails where they all round to 0."""
OWN_RANGE_WIDER = 1.25
"""By how much the range that PRelu_8 derives may be wider than its result: a third of a bit."""


def same_place(
    node: NodeView, ctx: Context, op: str, extra: list[float], value_range: Range
) -> None:
    """A unary op in its input's layout, with a range of its own."""
    source, output = node.input(0), node.outputs[0]
    form = ctx.form(source)
    scalars = [ctx.builder.scalar(f"{output}/limit{i}", v) for i, v in enumerate(extra)]
    inputs = [*form.tensor.data_min_max, *scalars]
    tensor = ctx.builder.quantized(op, inputs, form.tensor.shape, value_range, name=output)
    ctx.bind_order(output, form.layout.order, tensor)


@lowers("Relu", tie=Tie.CLIP)
def relu(node: NodeView, ctx: Context) -> None:
    """QuantizedRelu_8, or a range of its own."""
    _clipped(node, ctx, 0.0, math.inf)


@lowers("Clip", tie=Tie.CLIP)
def clip(node: NodeView, ctx: Context) -> None:
    """On its input's quantized values, or in a range of its own."""
    low, high = bounds(node, ctx)
    _clipped(node, ctx, low, high)


def _clipped(node: NodeView, ctx: Context, low: float, high: float) -> None:
    """Codes held between two, where the input's range suits the result; else a range that clips.

    A range ends at a bound, if zero is between the two: what it requantizes saturates there. One
    that others share reaches beyond; the codes of what is clipped then hold all that is left of it.
    """
    source, output = node.input(0), node.outputs[0]
    form, wanted = ctx.form(source), ctx.range(output)
    tensor = form.tensor
    if not _suits(tensor, wanted, low, high, WORTH[node.op]):
        ends = low <= 0.0 <= high and _ends(wanted, low, high)
        if ends or not _reaches(tensor, wanted, low, high, WORTH[node.op]):
            tensor = ctx.requantize8(tensor, wanted, output)
        if ends:
            ctx.builder.mark_saturating(tensor, (low, high))
            ctx.bind_order(output, form.layout.order, tensor)
            return
    ctx.bind_order(output, form.layout.order, _held(ctx, tensor, low, high, output))


def _suits(tensor: Tensor, wanted: Range, low: float, high: float, wider: float) -> bool:
    """Whether the result may have the range of what is clipped, whatever a run makes of that."""
    if tensor.source is RangeSource.RUN_TIME and not low <= 0.0 <= high:
        return False
    return tensor.range.step <= wider * wanted.step and tensor.range.holds(wanted.min, wanted.max)


def _ends(wanted: Range, low: float, high: float) -> bool:
    """Whether a range reaches no further than the bounds, but for its whole levels."""
    return low - wanted.step <= wanted.min and wanted.max <= high + wanted.step


def _reaches(tensor: Tensor, wanted: Range, low: float, high: float, wider: float) -> bool:
    """Whether what is clipped has a fine range that holds the bounds which its values reach."""
    if tensor.source is RangeSource.RUN_TIME:
        return False
    inside = low <= tensor.range.max and tensor.range.min <= high
    return inside and tensor.range.step <= wider * wanted.step


def _held(ctx: Context, tensor: Tensor, low: float, high: float, name: str) -> Tensor:
    """QuantizedReluX_8 from zero up, QuantizedClamp_8 otherwise, QuantizedRelu_8 without a top."""
    if low == 0.0 and high == math.inf:
        op, limits = "QuantizedRelu_8", []
    elif low == 0.0:
        op, limits = "QuantizedReluX_8", [high]
    else:
        op = "QuantizedClamp_8"
        limits = [max(low, tensor.range.min), min(high, tensor.range.max)]
    scalars = [ctx.builder.scalar(f"{name}/limit{i}", v) for i, v in enumerate(limits)]
    return ctx.copied(op, [*tensor.data_min_max, *scalars], tensor, tensor.shape, name)


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
    """QuantizedSigmoid_8, always 0..1; a table where results are small, or to be more precise."""
    _fixed_range(node, ctx, "QuantizedSigmoid_8", lookup.logistic, UNIT)


@lowers("Tanh")
def tanh(node: NodeView, ctx: Context) -> None:
    """QuantizedTanh_8, always -1..128/127; a table where results are small, or more precise."""
    _fixed_range(node, ctx, "QuantizedTanh_8", np.tanh, TANH)


def _fixed_range(
    node: NodeView, ctx: Context, op: str, function: lookup.Function, fixed: Range
) -> None:
    small = ctx.range(node.outputs[0]).step < SMALL * fixed.step
    if small or notes_of(node.node).in_own_range:
        lookup.apply(ctx, node.input(0), function, node.outputs[0])
    else:
        same_place(node, ctx, op, [], fixed)


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
    if any(came.max - came.min >= WIDEST_SOFTMAX for came in ranges_of(tensor)):
        tensor = ctx.fixed(tensor, output)
    if tensor.shape[3] >= LONGEST_SOFTMAX:
        raise UnsupportedOpError(
            f"a softmax over {tensor.shape[3]} values of '{source}'",
            why=f"the library crashes on rows of {LONGEST_SOFTMAX} values and more",
            hint=f"cut the model at '{source}' (--split), so that the softmax runs on the CPU",
        )
    inputs, width = [*tensor.data_min_max], tensor.range.max - tensor.range.min
    if width >= WIDEST_SOFTMAX:
        inputs.append(ctx.builder.scalar(f"{output}/beta", STEEPEST_SOFTMAX / width))
    result = ctx.builder.quantized("QuantizedSoftmax_8", inputs, tensor.shape, UNIT, name=output)
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
    value_range = ctx.range(output)
    own_range = notes_of(node.node).own_range and slopes.min() > 0.0
    if own_range and LEAST_SLOPE <= slopes.max() <= 1.0:
        derived = cover(tensor.range.min * float(slopes.max()), tensor.range.max)
        if derived.step <= OWN_RANGE_WIDER * value_range.step:
            ctx.bind_order(output, order, _prelu_own_range(ctx, tensor, slopes, derived, output))
            return
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
    ctx: Context,
    tensor: Tensor,
    slopes: npt.NDArray[np.floating],
    value_range: Range,
    output: str,
) -> Tensor:
    """QuantizedPRelu_8: float slopes; the library scales the range's negative end itself.

    The output range is fixed by the input's, but known here only to 1 LSB.
    """
    alpha = np.asarray(slopes, np.float32).reshape(1, 1, 1, -1)
    inputs = [*tensor.data_min_max, ctx.builder.const(f"{output}/slope", alpha)]
    source = max(tensor.source, RangeSource.DERIVED)
    return ctx.builder.quantized(
        "QuantizedPRelu_8", inputs, tensor.shape, value_range, name=output, source=source
    )


@lowers("Sqrt")
def sqrt(node: NodeView, ctx: Context) -> None:
    """QuantizedSqrt_8 from 0 on (docs/nnlib/shipped-library.md#sqrt), else a table."""
    source, output = node.input(0), node.outputs[0]
    form = ctx.form(source)
    tensor = ctx.pinned(source, form.tensor)
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
