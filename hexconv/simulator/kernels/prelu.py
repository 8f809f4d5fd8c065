"""QuantizedPRelu_8_d32 and QuantizedPRelu_8_V2_d32 (nnlib op_prelu_d32.c, op_prelu_v2_d32.c).

Both take one slope per channel: the first as float32, the second as uint8 with a range. Their flat
names never run: prepare always makes them d32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hexconv import native
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import (
    F32,
    ONE,
    as_range,
    derived,
    exponent,
    ldexp,
    power2,
    round_int,
    sat_i16,
    sat_u8,
    step_and_zero,
    to_codes,
    zero_exact,
)
from hexconv.simulator.numerics.hvx import wrap32
from hexconv.simulator.registry import KernelCall, kernel


def require_depth(call: KernelCall) -> None:
    """Raise unless there is one slope per channel."""
    slopes, depth = call.inputs[3].shape[3], call.inputs[0].shape[3]
    if slopes != depth:
        raise GraphError(
            f"{call.op} with {slopes} slopes for a depth of {depth}",
            why="the library needs one slope per channel",
            hint="repeat the slope for every channel",
        )


@dataclass(frozen=True, eq=False)
class Slopes:
    """float32 slopes as int16 with 15 - `shift` fractional bits (`prelu_check_opt`)."""

    fixed: Array
    shift: int
    low: F32
    high: F32


def slopes_of(alphas: Array) -> Slopes:
    """Quantize the slopes by their largest magnitude."""
    if not np.isfinite(alphas).all():
        raise GraphError("QuantizedPRelu_8 with slopes that are inf or NaN")
    low, high = F32(min(0.0, alphas.min())), F32(max(0.0, alphas.max()))
    largest = max(F32(-low), high)
    shift = exponent(largest) if largest > ONE else 0
    if shift > 7:
        raise GraphError(
            f"QuantizedPRelu_8 with a slope of {largest}",
            why="the library supports magnitudes below 128",
        )
    scaled = F32(F32(32768.0) * power2(-shift)) * alphas.ravel()
    fixed = np.trunc(scaled + np.copysign(F32(0.5), scaled))
    return Slopes(np.clip(fixed, -32768, 32767).astype(np.int64), shift, low, high)


@dataclass(frozen=True)
class PReluScale:
    """value = ((value - zero)*128*gain / 2^15 + offset) >> shift; one gain per side of zero."""

    low: F32
    high: F32
    zero: int
    gain: int
    offset: int
    shift: int
    slope_factor: int
    slope_shift: int


@derived
def prelu_scale(
    in_low: F32, in_high: F32, slope_low: F32, slope_high: F32, slope_shift: int
) -> PReluScale:
    """Range and integer parameters (`prelu_opt_execute`, `set_scaling`)."""
    high = max(in_high, F32(in_low * slope_low))
    low, high = zero_exact(F32(in_low * slope_high), high)
    in_span, out_span = F32(in_high - in_low), F32(high - low)
    through = F32(in_span / out_span)
    steepest = F32(through * max(ONE, max(slope_high, F32(-slope_low))))
    power = max(0, exponent(steepest))
    if power > 7:
        raise GraphError(
            f"QuantizedPRelu_8 of {in_low}..{in_high} with slopes {slope_low}..{slope_high}",
            why="the output range is too narrow for the library's scaling",
        )
    through_power = exponent(through)
    return PReluScale(
        low=low,
        high=high,
        zero=sat_u8(round_int(F32(F32(F32(-255.0) * in_low) / in_span))),
        gain=sat_i16(round_int(ldexp(through, 15 - power))),
        offset=sat_u8(round_int(F32(F32(F32(-255.0) * low) / out_span))) << (7 - power),
        shift=7 - power,
        slope_factor=sat_i16(round_int(ldexp(through, 15 - through_power))),
        # The vector shift uses 4 bits of the amount.
        slope_shift=(15 + power - through_power - slope_shift) & 0xF,
    )


@kernel("QuantizedPRelu_8_d32")
def prelu(call: KernelCall) -> list[Array]:
    """PRelu by float32 slopes; the output range follows from the input's and the slopes."""
    require_depth(call)
    if len(call.consts) > 3 and not call.consts[3]:
        raise GraphError("QuantizedPRelu_8 with computed slopes", why="they are read at prepare")
    scale, gains, ends = call.settled(1, lambda: _gains(call))
    return [_by_sign(call.inputs[0], scale, gains), *ends]


def _gains(call: KernelCall) -> tuple[PReluScale, Array, list[Array]]:
    """Integer parameters, the gain of each channel below zero, and the output range."""
    slopes = slopes_of(call.inputs[3])
    scale = prelu_scale(call.scalar(1), call.scalar(2), slopes.low, slopes.high, slopes.shift)
    half = (1 << scale.slope_shift) >> 1
    gains = (slopes.fixed * scale.slope_factor + half) >> scale.slope_shift
    gains = np.clip(gains, -32768, 32767).astype(np.int32)
    return scale, gains, as_range(scale.low, scale.high)


def _by_sign(x: Array, scale: PReluScale, gains: Array) -> Array:
    """Values above zero times one gain, those below times their channel's."""
    # Both shifts in one: 255*32767*128 and the offset at its largest still fit int32.
    bias = (1 << 14) + ((scale.offset + ((1 << scale.shift) >> 1)) << 15)
    passes = native.library()
    if passes is not None:
        return passes.prelu(x, scale.zero, scale.gain, gains, bias, 15 + scale.shift)
    codes = x.astype(np.int32)
    codes -= scale.zero
    below = np.minimum(codes, 0)
    codes -= below
    codes *= scale.gain
    below *= gains
    codes += below
    codes *= 128
    codes += bias
    codes >>= 15 + scale.shift
    return to_codes(codes)


class PReluV2Scale(NamedTuple):
    """Gains with 31 fractional bits, each with a left shift applied before it, in 32 bits."""

    low: F32
    high: F32
    zero: int
    slope_zero: int
    out_zero: int
    above: int
    above_shift: int
    below: int
    below_shift: int


@derived
def prelu_v2_scale(
    in_range: tuple[F32, F32], slope_range: tuple[F32, F32], out: tuple[F32, F32] | None
) -> PReluV2Scale:
    """Range and integer parameters (`set_scaling`, op_prelu_v2_d32.c)."""
    in_low, in_high = in_range
    if out is None:
        out = F32(in_low * slope_range[1]), max(in_high, F32(in_low * slope_range[0]))
    low, high = zero_exact(*out)
    in_step, zero = step_and_zero(in_low, in_high)
    slope_step, slope_zero = step_and_zero(*slope_range)
    out_step, out_zero = step_and_zero(low, high)
    above = F32(in_step / out_step)
    below = F32(above * slope_step)
    above_shift = 0 if above <= 1 else exponent(above)
    below_shift = 0 if below <= 1 else exponent(below)
    return PReluV2Scale(
        low,
        high,
        zero,
        slope_zero,
        out_zero,
        round_int(ldexp(above, 31 - above_shift)),
        above_shift,
        round_int(ldexp(below, 31 - below_shift)),
        below_shift,
    )


@kernel("QuantizedPRelu_8_V2_d32")
def prelu_v2(call: KernelCall) -> list[Array]:
    """PRelu by uint8 slopes; inputs 6 and 7 are the output range where they are given."""
    require_depth(call)
    in_range, slope_range = (
        (call.scalar(1), call.scalar(2)),
        (call.scalar(4), call.scalar(5)),
    )
    out = None
    if len(call.inputs) > 6:
        natural = max(in_range[1], F32(in_range[0] * slope_range[0]))
        out = call.scalar(6), call.scalar(7) if len(call.inputs) > 7 else natural
        if not np.isfinite(out).all():
            raise GraphError(f"{call.op} into {out[0]}..{out[1]}", hint="give a finite range")
    scale = prelu_v2_scale(in_range, slope_range, out)
    steps = call.inputs[0].astype(np.int64)
    steps -= scale.zero
    slopes = call.inputs[3].astype(np.int64) - scale.slope_zero
    below = wrap32(steps * slopes << (scale.below_shift & 31)) * scale.below
    above = wrap32(steps << (scale.above_shift & 31)) * scale.above
    codes = np.where(steps < 0, below, above)
    codes += 1 << 30
    codes >>= 31
    codes += scale.out_zero
    return [to_codes(codes), *as_range(scale.low, scale.high)]
