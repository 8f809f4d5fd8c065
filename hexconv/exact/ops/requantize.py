"""Other ranges, other widths (simulator/kernels/requantize.py, batchnorm.py)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hexconv.exact.arithmetic import (
    codes,
    div255,
    exponent,
    int_power2,
    look_up,
    mul_frac,
    mul_frac32,
    power2,
    round_int,
    sat16,
    sat32,
    sat_u8,
    shift_left,
    shift_right,
    step_and_zero,
    to_codes,
    to_int,
    wrap16,
    wrap32,
)
from hexconv.exact.functions import ExactCall, Form, exact, shared
from hexconv.exact.ops.gain import SUFFIX, fixed_ends
from hexconv.exact.ranges import (
    BOTH_FIXED,
    MAX_FIXED,
    MIN_FIXED,
    adjust_range,
    zero_exact_fixed,
)
from hexconv.exact.value import Scope, Value, larger, maximum, minimum, smaller, where

VECTOR = 128
"""Fewer codes than one vector take another path."""
MARGIN = 1.00001831


@exact("Requantize_32to8")
def requantize_32to8(call: ExactCall) -> Form:
    """int32 onto a requested range."""
    short = int(np.prod(call.shapes[0])) < VECTOR

    def build(body: Scope, x: Value, *ends: Value) -> list[Value]:
        """int32 onto a requested range, widened at one end until zero is exact.

        Short tensors get their offset after the multiplication, long ones before it. Doubles hold
        every product that does not saturate exactly. Source: op_requantize.c.
        """
        in_low, in_high, low, high = ends
        level = (in_high - in_low) * 2.0**-32
        low, high, _, _ = adjust_range(low, high)
        return [narrowed(x, level, low, high, short=short), low, high]

    return Form(build, tuple(range(5)), suffix="_short" if short else "")


def narrowed(x: Value, level: Value, low: Value, high: Value, *, short: bool) -> Value:
    """int32 in steps of `level` as codes of low..high (nn_requantize_i32_to_qu8_hvx)."""
    out_scale = 255.0 / (high - low)
    gain = level * out_scale
    fixed = round_int(gain * 2.0**31)
    add = low.body.constant(0.5, "float32") - low * out_scale
    factor = fixed.to("float64") * 2.0**-31

    def in_float(inner: Scope) -> list[Value]:
        return [to_codes(x.to("float32") * gain + add)]

    def before(inner: Scope) -> list[Value]:
        subtract = round_int(low / level).to("float64")
        return [to_codes((x.to("float64") - subtract) * factor + 0.5)]

    def behind(inner: Scope) -> list[Value]:
        rounded = (x.to("float64") * factor + 0.5).floor().clip(-32768.0, 32767.0)
        return [to_codes(rounded + sat16(to_int(add)).to("float64"))]

    def in_fixed_point(inner: Scope) -> list[Value]:
        if short:
            return behind(inner)
        return inner.choose(fixed >= 1024, before, behind)

    return x.body.choose(gain >= 1.0, in_float, in_fixed_point)[0]


@exact("QuantizeDownAndShrinkRange_32to8")
def shrink(call: ExactCall) -> Form:
    """int32 onto the range that the data fills."""
    short = int(np.prod(call.shapes[0])) < VECTOR

    def build(body: Scope, x: Value, in_low: Value, in_high: Value) -> list[Value]:
        """int32 onto the range that the data fills (do_autorequantize_execute)."""
        level = (in_high - in_low) * 2.0**-32
        least, most = minimum(x.reduce("Min"), 0), maximum(x.reduce("Max"), 0)
        low, high, _, _ = adjust_range(level * least.to("float32"), level * most.to("float32"))
        return [narrowed(x, level, low, high, short=short), low, high]

    return Form(build, (0, 1, 2), suffix="_short" if short else "")


@shared
def table_8to8(in_low: Value, in_high: Value, low: Value, high: Value) -> Value:
    """256 codes in another range (nn_requantize_qu8_to_qu8_hvx)."""
    in_span, out_span = in_high - in_low, high - low
    gain = in_span / out_span
    in_zero = sat_u8(round_int(in_low * -255.0 / in_span))
    out_zero = sat_u8(round_int(low * -255.0 / out_span))
    power = exponent(gain)
    distance = codes(low.body) - in_zero
    up = gain > 1.0
    factor = sat16(round_int(where(up, gain * power2(-power), gain) * 32768.0))
    shift = where(up, 15 - power, 15)
    half = int_power2(shift) / 2
    moved = sat16(shift_right(distance * factor + half, shift))
    same = (gain - 1.0).abs() < 6.1035156e-05
    return (where(same, distance, moved) + out_zero).clip(0, 255).to("uint8")


@exact("Requantize_8to8", "Requantize_8to8_d32")
def requantize_8to8(call: ExactCall) -> Form:
    """Into another range, whose zero is exact already."""

    def build(body: Scope, data: Value, *ends: Value) -> list[Value]:
        """uint8 codes into another range (op_requantize.c)."""
        return [look_up(table_8to8(*ends), data), *ends[2:]]

    return Form(build, tuple(range(5)))


class Channels(NamedTuple):
    """Scales times 128 and offsets of every channel, int64, and what one step is worth."""

    scales: Value
    offsets: Value
    unit: Value


class Line(NamedTuple):
    """Output code of a channel: (x * gain + offset + half) >> shift, clipped."""

    gain: Value
    offset: Value
    shift: Value


class NormInputs(NamedTuple):
    """Inputs of a batch norm by role."""

    x: Value
    scale: Value
    x_min: Value
    x_max: Value
    s_min: Value
    s_max: Value
    bias: Value
    b_min: Value
    b_max: Value
    out_min: Value
    out_max: Value


@exact("QuantizedBatchNorm_8x8p32to8_d32", "QuantizedBatchNorm_8x8p8to8_d32")
def batchnorm(call: ExactCall) -> Form:
    """A scale and a bias for each channel."""
    fixed = fixed_ends(call, 9, 10)
    wide = "p32" in call.node.op
    padded = call.shapes[0][3] % 32 != 0

    def build(body: Scope, *given: Value) -> list[Value]:
        """x (B,H,W,D) uint8 times a scale plus a bias, each (1,1,1,D) or (1,1,1,1).

        Source: op_batchnorm_d32.c.
        """
        inputs = NormInputs(*given)
        channels = _channels(inputs, wide=wide)
        low, high = smaller(0.0, inputs.out_min), larger(0.0, inputs.out_max)
        if fixed == BOTH_FIXED:
            low, high = zero_exact_fixed(low, larger(low + 1e-6, high), fixed)
        else:
            low, high = _found(inputs, channels, (low, high), fixed, wide=wide, padded=padded)
        line = _line(channels, low, high)
        unit = 1.0 / int_power2(line.shift).to("float64")
        gain, offset = (part.to("float64") * unit for part in (line.gain, line.offset))
        return [to_codes(inputs.x.to("float64") * gain + (offset + 0.5)), low, high]

    suffix = SUFFIX[fixed] + ("_of_padded_depth" if padded and fixed != BOTH_FIXED else "")
    return Form(build, tuple(range(11)), suffix=suffix)


def _channels(inputs: NormInputs, *, wide: bool) -> Channels:
    """Scales and offsets of every channel (set_scale_from_input, fill_depth_consts)."""
    size, zero = step_and_zero(inputs.x_min, inputs.x_max)
    s_size, s_zero = step_and_zero(inputs.s_min, inputs.s_max)
    unit = size * s_size * (1 / 128)
    scales = (inputs.scale.to("int64") - s_zero) * 128
    bias = _wide_bias(inputs, unit) if wide else _byte_bias(inputs, unit)
    return Channels(scales, sat32(bias - scales * zero), unit)


def _byte_bias(inputs: NormInputs, unit: Value) -> Value:
    """uint8 bias in accumulator steps."""
    size, zero = step_and_zero(inputs.b_min, inputs.b_max)
    ratio = size / unit
    octave = maximum(exponent(ratio * MARGIN) - 15, -31)
    factor = sat16(round_int(ratio * power2(-octave)))
    left, right = maximum(octave, 0), maximum(-octave, 0)
    moved = wrap16(shift_left(inputs.bias.to("int64") - zero, left)) * factor
    half = (int_power2(right) - int_power2(right) % 2) / 2
    return shift_right(wrap32(moved + half), right)


def _wide_bias(inputs: NormInputs, unit: Value) -> Value:
    """int32 bias in accumulator steps."""
    ratio = (inputs.b_max - inputs.b_min) * 2.0**-32 / unit
    octave = maximum(exponent(ratio * MARGIN) - 15, -46)
    right = -(octave + 15)
    factor = sat16(round_int(ratio * power2(-octave)))
    scaled = mul_frac32(inputs.bias.to("int64"), factor)
    held = maximum(right, 0)
    half = (int_power2(held) - int_power2(held) % 2) / 2
    down = shift_right(wrap32(scaled + half), held)
    return where(right < 0, wrap32(shift_left(scaled, maximum(-right, 0))), down)


def _line(channels: Channels, low: Value, high: Value) -> Line:
    """Multiplication, offset and shift for one output range (set_scale_for_output)."""
    ratio = 255.0 / (high - low) * channels.unit
    shift = minimum(-exponent(ratio * MARGIN), 22)
    offset = where(low.equal(0.0), 0, round_int(-low / channels.unit))
    factor = sat16(round_int(ratio * power2(shift + 15)))
    gain = mul_frac(channels.scales, factor)
    return Line(gain, mul_frac32(wrap32(channels.offsets + offset), factor), shift)


Ends = tuple[Value, Value]


def _found(
    inputs: NormInputs, channels: Channels, asked: Ends, fixed: int, *, wide: bool, padded: bool
) -> Ends:
    """The range grown until everything fits."""
    first = zero_exact_fixed(*_guess(inputs, asked, fixed, wide=wide), fixed)
    zero = step_and_zero(inputs.x_min, inputs.x_max)[1]
    lowest = minimum(inputs.x.reduce("Min", [0, 1, 2]).to("int64"), zero)
    highest = maximum(inputs.x.reduce("Max", [0, 1, 2]).to("int64"), zero)

    def step(bounds: list[Value]) -> tuple[Value, list[Value]]:
        low, high = bounds
        line = _line(channels, low, high)
        reached = [line.gain * codes_ + line.offset for codes_ in (lowest, highest)]
        ends = [
            minimum(reached[0].reduce("Min"), reached[1].reduce("Min")),
            maximum(reached[0].reduce("Max"), reached[1].reduce("Max")),
        ]
        if padded:
            nothing = Channels(zero * 0, zero * 0, channels.unit)
            border = _line(nothing, low, high).offset
            ends = [minimum(ends[0], border), maximum(ends[1], border)]
        return _wider((low, high), line, (ends[0], ends[1]), asked, fixed)

    low, high = first[0].body.repeat(list(first), step)
    return low, high


def _guess(inputs: NormInputs, asked: Ends, fixed: int, *, wide: bool) -> Ends:
    """A fifth of the range that scale and bias could give."""
    bias: Ends = (inputs.b_min, inputs.b_max)
    if wide:
        step = (inputs.b_max - inputs.b_min) * 2.0**-32
        bias = (
            inputs.bias.reduce("Min").to("float32") * step,
            inputs.bias.reduce("Max").to("float32") * step,
        )
    x_low, x_high, s_low, s_high = inputs.x_min, inputs.x_max, inputs.s_min, inputs.s_max
    low, high = asked
    if not fixed & MIN_FIXED:
        least = smaller(x_high * s_low, x_low * s_high) + bias[0]
        low = smaller(0.0, least) * 0.2
    if not fixed & MAX_FIXED:
        most = larger(x_high * s_high, x_low * s_low) + bias[1]
        high = larger(most * 0.2, low + 1e-4)
    return low, high


def _wider(
    bounds: Ends, line: Line, ends: tuple[Value, Value], asked: Ends, fixed: int
) -> tuple[Value, list[Value]]:
    """Whether the range has to be tried again, and the range to try."""
    low, high = bounds
    least, most = ends
    half = (int_power2(line.shift) - int_power2(line.shift) % 2) / 2
    above = most > shift_left(half * 0 + 255, line.shift) + half
    below = least < -half
    step = div255(high - low) * power2(-line.shift)
    per_unit = 255.0 / (high - low)
    zero = where(low.equal(0.0), 0.0, -low * per_unit * power2(line.shift))
    top = (most.to("float32") - zero) * step
    bottom = (least.to("float32") - zero) * step
    nothing = low.body.constant(0.0, "float32")
    margin = larger(nothing, (top - bottom) * 0.25)
    new_low, new_high, grew = low, high, []
    if not fixed & MAX_FIXED:
        new_high = where(above, larger(nothing, top) + margin, high)
        grew.append(above)
    if not fixed & MIN_FIXED:
        new_low = where(below, smaller(nothing, bottom) - margin, low)
        grew.append(below)
    new_low = asked[0] if fixed & MIN_FIXED else new_low
    new_high = asked[1] if fixed & MAX_FIXED else new_high
    moved = zero_exact_fixed(new_low, new_high, fixed)
    again = grew[0] | grew[-1]
    result = [where(again, moved[0], low), where(again, moved[1], high)]
    same = result[0].equal(low) & result[1].equal(high)
    return again & ~same, result
