"""Requantize_32to8, Requantize_8to8, Requantize_32to16 and QuantizeDownAndShrinkRange_32to8.

nnlib op_requantize.c and quantize.c.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hexconv import native
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import (
    F32,
    HALF,
    ONE,
    ZERO,
    adjust_range,
    as_range,
    clip_to,
    derived,
    exponent,
    frac_mul,
    fraction,
    ldexp,
    require_finite,
    round_int,
    round_shift,
    sat_i16,
    sat_u8,
    to_codes,
    to_int,
)
from hexconv.simulator.numerics.tables import look_up
from hexconv.simulator.registry import KernelCall, kernel

_VECTOR = 128  # fewer values than one vector take another path


class IntegerGain(NamedTuple):
    """Parameters of int32 to uint8 for one pair of ranges (`nn_requantize_i32_to_qu8_hvx`)."""

    low: F32
    high: F32
    real: F32  # gain as a float; used as it is where it is 1 or more
    fixed: int  # gain with 31 fractional bits
    subtract: int  # integer offset subtracted before the multiplication, for long tensors
    add: F32  # offset added after it, rounding bias included, for short ones


def gain_for(level: F32, low: F32, high: F32) -> IntegerGain:
    """Parameters for int32 of scale `level` to the uint8 range low..high."""
    out_scale = F32(F32(255.0) / F32(high - low))
    gain = F32(level * out_scale)
    return IntegerGain(
        low=low,
        high=high,
        real=gain,
        fixed=round_int(F32(gain * F32(1 << 31))),
        subtract=round_int(F32(low / level)),
        add=F32(HALF - F32(low * out_scale)),
    )


@derived
def gain_to_range(in_low: float, in_high: float, low: float, high: float) -> IntegerGain:
    """Parameters for a requested output range (`do_requantize_execute`)."""
    level = F32(F32(F32(in_high) - F32(in_low)) * F32(2.0**-32))
    out_low, out_high, _, _ = adjust_range(F32(low), F32(high))
    return gain_for(level, out_low, out_high)


def requantize_32_to_8(x: Array, gain: IntegerGain) -> Array:
    """int32 to uint8.

    Short tensors get their offset after the multiplication, long ones before it. Doubles represent
    every product that does not saturate exactly.
    """
    if gain.real >= ONE:
        scaled = x.astype(F32)
        scaled *= gain.real
        scaled += gain.add
        return to_codes(scaled)
    factor = gain.fixed * 2.0**-31
    if x.size >= _VECTOR and gain.fixed >= 1024:
        return _scaled_down(x, gain.subtract, factor)
    codes = x * factor
    codes += 0.5
    np.floor(codes, out=codes)
    np.clip(codes, -32768, 32767, out=codes)
    codes += sat_i16(to_int(gain.add))
    return to_codes(codes)


def _scaled_down(x: Array, subtract: int, factor: float) -> Array:
    """(x - subtract) * factor, rounded."""
    passes = native.library()
    if passes is not None:
        return passes.scale_down(x, subtract, factor)
    codes = x.astype(np.float64)
    codes -= subtract
    codes *= factor
    codes += 0.5
    return to_codes(codes)


@kernel("Requantize_32to8")
def requantize_32to8(call: KernelCall) -> list[Array]:
    """int32 to a requested range, widened at one end until zero is exact."""
    gain, ends = call.settled(1, lambda: _requested_gain(call))
    return [requantize_32_to_8(call.inputs[0], gain), *ends]


def _requested_gain(call: KernelCall) -> tuple[IntegerGain, list[Array]]:
    in_low, in_high, low, high = (tensor.item() for tensor in call.inputs[1:5])
    require_finite(call.op, low, high)
    gain = gain_to_range(in_low, in_high, low, high)
    return gain, as_range(gain.low, gain.high)


@kernel("QuantizeDownAndShrinkRange_32to8")
def shrink_32to8(call: KernelCall) -> list[Array]:
    """int32 to the range that the data fills (`do_autorequantize_execute`)."""
    x = call.inputs[0]
    level = F32(F32(call.scalar(2) - call.scalar(1)) * F32(2.0**-32))
    least, most = min(0, int(x.min())), max(0, int(x.max()))
    low, high, _, _ = adjust_range(F32(level * F32(least)), F32(level * F32(most)))
    if high == low:  # all zeros: the infinite gain gives values of 0
        return [np.zeros(x.shape, np.uint8), *as_range(low, high)]
    return [requantize_32_to_8(x, gain_for(level, low, high)), *as_range(low, high)]


@derived
def table_8to8(in_low: float, in_high: float, low: float, high: float) -> Array:
    """256 values in another range (`nn_requantize_qu8_to_qu8_hvx`)."""
    adjusted = adjust_range(F32(low), F32(high))[:2]
    if adjusted != (F32(low), F32(high)):
        raise GraphError(
            f"Requantize_8to8 to {low}..{high}, whose zero point is not an integer",
            why="the library rejects the range",
            hint=f"request {adjusted[0]}..{adjusted[1]}",
        )
    in_span, out_span = F32(F32(in_high) - F32(in_low)), F32(F32(high) - F32(low))
    gain = F32(in_span / out_span)
    in_zero = sat_u8(round_int(F32(F32(F32(-255.0) * F32(in_low)) / in_span)))
    out_zero = sat_u8(round_int(F32(F32(F32(-255.0) * F32(low)) / out_span)))
    power = exponent(gain)
    if power > 15:
        raise GraphError(f"Requantize_8to8 from {in_low}..{in_high} to {low}..{high}: too narrow")
    codes = np.arange(256, dtype=np.int64) - in_zero
    if not abs(F32(gain - ONE)) < F32(6.1035156e-05):
        if gain > ONE:
            factor, shift = sat_i16(round_int(F32(fraction(gain) * F32(32768.0)))), 15 - power
        else:
            factor, shift = sat_i16(round_int(F32(gain * F32(32768.0)))), 15
        codes = np.clip(round_shift(codes * factor, shift), -32768, 32767)
    return np.clip(codes + out_zero, 0, 255).astype(np.uint8)


@kernel("Requantize_8to8", "Requantize_8to8_d32")
def requantize_8to8(call: KernelCall) -> list[Array]:
    """uint8 values to another range, whose zero must be exact already."""
    table, ends = call.settled(1, lambda: _requested_table(call))
    return [look_up(table, call.inputs[0]), *ends]


def _requested_table(call: KernelCall) -> tuple[Array, list[Array]]:
    in_low, in_high, low, high = (tensor.item() for tensor in call.inputs[1:5])
    require_finite(call.op, low, high)
    return table_8to8(in_low, in_high, low, high), as_range(low, high)


class Scale16(NamedTuple):
    """Parameters of int32 to int16: multiplied by 31 fractional bits, then shifted down."""

    high: F32
    factor: int
    shift: int


@derived
def scale_to_16(in_low: float, in_high: float, low: float, high: float) -> Scale16:
    """Factor, shift (negative: up) and the symmetric range (`do_requantize_16_execute`)."""
    level = F32(F32(F32(in_high) - F32(in_low)) * F32(2.0**-32))
    limit = max(F32(1.0 / 2048.0), max(F32(high), F32(-F32(low))))
    ratio = F32(level / F32(limit * F32(1.0 / 32768.0)))
    if not (np.isfinite(ratio) and F32(2.0**-29) <= ratio < F32(2.0**24)):
        raise GraphError(
            f"Requantize_32to16 from {in_low}..{in_high} to {low}..{high}",
            why="the ratio of the scales is beyond what the library supports",
        )
    shift = min(-exponent(ratio), 15)
    return Scale16(limit, round_int(ldexp(ratio, shift + 31)), shift)


@kernel("Requantize_32to16")
def requantize_32to16(call: KernelCall) -> list[Array]:
    """int32 to a symmetric int16 range (`scale_32_to_16`)."""
    in_low, in_high, low, high = (tensor.item() for tensor in call.inputs[1:5])
    require_finite(call.op, low, high)
    scale = scale_to_16(in_low, in_high, low, high)
    x = call.inputs[0]
    if scale.shift >= 0:
        codes = round_shift(frac_mul(x, scale.factor), scale.shift)
    else:
        up = 4 - scale.shift
        limit = (0x80000000 >> up) - 1
        codes = round_shift(frac_mul(np.clip(x, ~limit, limit) << up, scale.factor), 4)
    return [clip_to(codes, np.int16), *as_range(F32(ZERO - scale.high), scale.high)]


@kernel("Requantize_32tou16")
def requantize_32tou16(call: KernelCall) -> list[Array]:
    """Unsupported: the library passes on half of the data."""
    raise GraphError(
        "Requantize_32tou16",
        why="the library counts its output in elements, not bytes: readers see the first half only",
        hint="use Requantize_32to16",
    )
