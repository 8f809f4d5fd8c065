"""`QuantizedBatchNorm`: a scale and a bias for each channel, in 16-bit fixed point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import (
    F32,
    ZERO,
    as_range,
    div255,
    exponent,
    power2,
    round_int,
    sat_i16,
    zero_exact_fixed,
)
from hexconv.simulator.numerics.hvx import mul_frac, mul_frac32, sat32, wrap16, wrap32
from hexconv.simulator.numerics.output_range import QParams, level_and_zero
from hexconv.simulator.registry import KernelCall, kernel

Int = npt.NDArray[np.int64]
Bounds = tuple[np.float32, np.float32]

MARGIN = F32(1.00001831)
GUESS = F32(0.2)
"""Share of the possible range that the first execution tries, where the range is not given."""


@dataclass(frozen=True)
class Channels:
    """The parameters that do not depend on the output range.

    Args:
        scales: (D,) quantized scales without their zero point, times 128.
        offsets: (D,) added to data * scales, in units of `unit`.
        unit: real value of one accumulator unit.
    """

    scales: Int
    offsets: Int
    unit: np.float32


@dataclass(frozen=True)
class Line:
    """Output of channel d: (x * gain[d] + offset[d] + half) >> shift, clipped to 0..255."""

    gain: Int
    offset: Int
    shift: int


@kernel("QuantizedBatchNorm_8x8p32to8_d32", "QuantizedBatchNorm_8x8p8to8_d32")
def batchnorm(call: KernelCall) -> list[Array]:
    """x (B,H,W,D) uint8 times a scale plus a bias, each (1,1,1,D) or (1,1,1,1).

    Inputs x, scale, x min, x max, scale min, scale max, bias (uint8, or int32 with `p32`),
    bias min, bias max, out min, out max. Source: ops/src/op_batchnorm_d32.c.
    """
    x = call.inputs[0]
    fixed, bounds = _asked(call)
    if fixed == 3:
        asked = bounds
        line = call.settled(1, lambda: _line(_channels(call), asked))
        return [_apply(x, line), *as_range(bounds[0], bounds[1])]
    channels = _channels(call)
    bounds = zero_exact_fixed(*_first_guess(call, fixed), fixed)
    while True:
        line = _line(channels, bounds)
        wider = _wider(call, channels, line, fixed, bounds)
        if wider == bounds:
            return [_apply(x, line), *as_range(bounds[0], bounds[1])]
        bounds = wider


def _apply(x: Array, line: Line) -> npt.NDArray[np.uint8]:
    """Powers of two divide exactly in float64, so that the shift is a multiplication."""
    unit = 2.0**-line.shift
    wide: npt.NDArray[np.float64] = np.multiply(x, line.gain * unit)
    np.add(wide, line.offset * unit + 0.5, out=wide)
    np.clip(wide, 0, 255, out=wide)
    return wide.astype(np.uint8)


def _asked(call: KernelCall) -> tuple[int, Bounds]:
    """Which ends are given (bit 0 minimum, bit 1 maximum), and their values."""
    low, high = call.scalar(9), call.scalar(10)
    fixed = int(low > -np.inf) + 2 * int(high < np.inf)
    low, high = min(ZERO, low), max(ZERO, high)
    if fixed == 3:
        return fixed, zero_exact_fixed(low, max(F32(low + F32(1e-6)), high), 3)
    return fixed, (low, high)


def _channels(call: KernelCall) -> Channels:
    """Scales and offsets of every channel (`set_scale_from_input`, `fill_depth_consts`)."""
    depth = call.inputs[0].shape[3]
    for index in (1, 6):
        if call.inputs[index].shape not in ((1, 1, 1, depth), (1, 1, 1, 1)):
            raise GraphError(f"input {index} is {call.inputs[index].shape}", where=call.op)
    data = level_and_zero(call.scalar(2), call.scalar(3))
    scale = level_and_zero(call.scalar(4), call.scalar(5))
    unit = F32(F32(data.size * scale.size) * F32(1 / 128))
    codes = np.broadcast_to(call.inputs[1].reshape(-1), (depth,)).astype(np.int64)
    scales = (codes - scale.zero) * 128
    bias = _wide_bias(call, unit) if call.inputs[6].dtype == np.int32 else _byte_bias(call, unit)
    return Channels(scales, sat32(bias - scales * data.zero), unit)


def _byte_bias(call: KernelCall, unit: np.float32) -> Int:
    """uint8 bias in accumulator units."""
    level: QParams = level_and_zero(call.scalar(7), call.scalar(8))
    ratio = F32(level.size / unit)
    octave = exponent(F32(ratio * MARGIN)) - 15
    if octave > 6:
        raise GraphError("the bias range is too wide for its scale", where=call.op)
    octave = max(octave, -31)
    left, right = max(octave, 0), max(-octave, 0)
    factor = sat_i16(round_int(F32(ratio * power2(-octave))))
    codes = call.inputs[6].reshape(-1).astype(np.int64) - level.zero
    return wrap32(wrap16(codes << left) * factor + ((1 << right) >> 1)) >> right


def _wide_bias(call: KernelCall, unit: np.float32) -> Int:
    """int32 bias in accumulator units."""
    step = F32(F32(call.scalar(8) - call.scalar(7)) * F32(2.0**-32))
    ratio = F32(step / unit)
    octave = exponent(F32(ratio * MARGIN)) - 15
    if octave > 1:
        raise GraphError("the bias range is too wide for its scale", where=call.op)
    octave = max(octave, -46)
    right = -(15 + octave)
    factor = sat_i16(round_int(F32(ratio * power2(-octave))))
    scaled = mul_frac32(call.inputs[6].reshape(-1).astype(np.int64), factor)
    if right < 0:
        return wrap32(scaled << -right)
    return wrap32(scaled + ((1 << right) >> 1)) >> right


def _line(channels: Channels, bounds: Bounds) -> Line:
    """Multiplication, offset and shift for one output range (`set_scale_for_output`)."""
    low, high = bounds
    ratio = F32(F32(F32(255) / F32(high - low)) * channels.unit)
    shift = -exponent(F32(ratio * MARGIN))
    if not 1 <= shift <= 29:
        raise GraphError(f"the output range {low} .. {high} cannot be scaled to")
    shift = min(shift, 22)
    offset = 0 if low == 0 else round_int(F32(F32(-low) / channels.unit))
    factor = sat_i16(round_int(F32(ratio * power2(15 + shift))))
    return Line(
        gain=mul_frac(channels.scales, factor),
        offset=mul_frac32(wrap32(channels.offsets + offset), factor),
        shift=shift,
    )


def _first_guess(call: KernelCall, fixed: int) -> Bounds:
    """A fifth of the range that scale and bias could give."""
    bias: Bounds = (call.scalar(7), call.scalar(8))
    if call.inputs[6].dtype == np.int32:
        step = F32(F32(bias[1] - bias[0]) * F32(2.0**-32))
        codes = call.inputs[6]
        bias = (F32(F32(codes.min()) * step), F32(F32(codes.max()) * step))
    x_low, x_high, s_low, s_high = (call.scalar(index) for index in range(2, 6))
    low, high = call.scalar(9), call.scalar(10)
    if not fixed & 1:
        least = F32(min(F32(x_high * s_low), F32(x_low * s_high)) + bias[0])
        low = F32(GUESS * min(ZERO, least))
    else:
        low = min(ZERO, low)
    if not fixed & 2:
        most = F32(max(F32(x_high * s_high), F32(x_low * s_low)) + bias[1])
        high = max(F32(GUESS * most), F32(low + F32(1e-4)))
    else:
        high = max(ZERO, high)
    return low, high


def _wider(call: KernelCall, channels: Channels, line: Line, fixed: int, bounds: Bounds) -> Bounds:
    """The range to try next; the same one if everything fits."""
    data = level_and_zero(call.scalar(2), call.scalar(3))
    x = call.inputs[0]
    seen = [
        x.min(axis=(0, 1, 2)).astype(np.int64).clip(max=data.zero),
        x.max(axis=(0, 1, 2)).astype(np.int64).clip(min=data.zero),
    ]
    ends = np.concatenate([line.gain * codes + line.offset for codes in seen])
    if x.shape[3] % 32:
        padding = _line(
            Channels(np.zeros(1, np.int64), np.zeros(1, np.int64), channels.unit), bounds
        )
        ends = np.append(ends, padding.offset)
    least, most = int(ends.min()), int(ends.max())
    half = (1 << line.shift) >> 1
    above, below = most > (255 << line.shift) + half, least < -half
    step = F32(div255(F32(bounds[1] - bounds[0])) * power2(-line.shift))
    zero = ZERO
    if bounds[0] != 0:
        per_unit = F32(F32(255) / F32(bounds[1] - bounds[0]))
        zero = F32(F32(F32(-bounds[0]) * per_unit) * power2(line.shift))
    top = F32(F32(F32(most) - zero) * step)
    bottom = F32(F32(F32(least) - zero) * step)
    margin = max(ZERO, F32(F32(0.25) * F32(top - bottom)))
    low, high = bounds
    grew = False
    if not fixed & 2 and above:
        high, grew = F32(max(ZERO, top) + margin), True
    if not fixed & 1 and below:
        low, grew = F32(min(ZERO, bottom) - margin), True
    if not grew:
        return bounds
    _, asked = _asked(call)
    low = asked[0] if fixed & 1 else low
    high = asked[1] if fixed & 2 else high
    return zero_exact_fixed(low, high, fixed)
