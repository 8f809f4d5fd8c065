"""Conversions between uint8, float32 and 16-bit values (nnlib op_convert_16.c).

int16 tensors have a symmetric range of 65536 levels, uint16 ones min + value*(max - min)/65536.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hexconv.arrays import Array
from hexconv.simulator.numerics.fixed_point import (
    F32,
    HALF,
    ZERO,
    adjust_range,
    as_range,
    clip_to,
    derived,
    exponent,
    ldexp,
    require_finite,
    round_int,
    sat_i16,
    sat_u8,
    sat_u16,
    to_codes,
    to_int,
    zero_exact_u16,
)
from hexconv.simulator.registry import KernelCall, kernel

_LEVELS = F32(1.0 / 65536.0)


@kernel("Dequantize_16", "Dequantize_u16")
def dequantize_16(call: KernelCall) -> list[Array]:
    """16-bit values to float32."""
    codes, low, high = call.inputs[0], call.scalar(1), call.scalar(2)
    step = F32(F32(high - low) * _LEVELS)
    values = codes.astype(F32)
    if call.op == "Dequantize_u16":
        values -= F32(sat_u16(to_int(F32(HALF + F32(-low / step)))))
    values *= step
    return [values]


@derived
def symmetric(low: F32, high: F32) -> tuple[F32, F32, int]:
    """The int16 range around zero, ends with two clear low bits; and the offset 0."""
    largest = max(max(F32(-low), high), F32(1e-5))
    bits = (int(largest.view(np.uint32)) + 3) & ~3
    largest = F32(np.uint32(bits).view(F32))
    return F32(-largest), largest, 0


@derived
def asymmetric(low: F32, high: F32) -> tuple[F32, F32, int]:
    """The uint16 range with an exact zero, and its zero point."""
    low, high = min(low, ZERO), max(high, F32(1e-5))
    if low < 0:
        least = F32(low * F32(-1.0 / 65535.0))
        low, high = (low, least) if high < least else zero_exact_u16(low, high)
    scale = F32(F32(65536.0) / F32(high - low))
    return low, high, sat_u16(to_int(F32(HALF - F32(low * scale))))


@kernel("Quantize_16", "Quantize_u16")
def quantize_16(call: KernelCall) -> list[Array]:
    """float32 to 16-bit values (`quant_x16_execute`)."""
    x, low, high = call.inputs[0], call.scalar(1), call.scalar(2)
    require_finite(call.op, low, high)
    signed = call.op == "Quantize_16"
    low, high, zero = symmetric(low, high) if signed else asymmetric(low, high)
    scaled = F32(F32(65536.0) / F32(high - low)) * x
    scaled += np.copysign(HALF, scaled)
    codes = np.trunc(scaled).astype(np.float64)
    codes += zero
    return [clip_to(codes, np.int16 if signed else np.uint16), *as_range(low, high)]


@derived
def widening(low: F32, high: F32) -> tuple[int, int, F32]:
    """Zero point, the integer factor to int16, and the end of its range (`cvt_8_16_execute`)."""
    value_range = F32(high - low)
    zero = sat_u8(round_int(F32(F32(low * F32(-255.0)) / value_range)))
    factor = 32767 // (255 - zero) if zero < 128 else 32768 // zero
    return zero, factor, F32(F32(F32(32768.0) * value_range) / F32(F32(255.0) * F32(factor)))


@kernel("Convert_8_16")
def convert_8_16(call: KernelCall) -> list[Array]:
    """uint8 to int16 by an integer factor, without loss."""
    zero, factor, limit = widening(call.scalar(1), call.scalar(2))
    codes = call.inputs[0].astype(np.int16)
    codes -= zero
    codes *= factor
    return [codes, *as_range(F32(-limit), limit)]


@kernel("Convert_8_u16")
def convert_8_u16(call: KernelCall) -> list[Array]:
    """uint8 to uint16 by repeating the byte."""
    low, high = call.scalar(1), call.scalar(2)
    codes = call.inputs[0].astype(np.uint16)
    codes *= 257
    return [codes, *as_range(low, F32(high + F32(F32(high - low) * _LEVELS)))]


class Narrowing(NamedTuple):
    """value = ((x - 32768)*factor / 2^15 + offset) >> shift, for x counted from 0."""

    low: F32
    high: F32
    factor: int
    offset: int
    shift: int


@derived
def narrowing(in_low: F32, in_high: F32, low: F32, high: F32, signed: bool) -> Narrowing:
    """Parameters of 16 bits to 8 (`cvt_x16_8_execute`).

    The output scale is at least two input scales; the range grows where it would be less. For int16
    this is what the shipped library returns: it shifts by at most 7. The open source, which starts
    from at least 7, differs by 1 LSB here and there; uint16 follows it.
    """
    low, high, step, scale = adjust_range(low, high)
    zero = sat_u8(round_int(F32(-low * scale)))
    in_step = F32(F32(in_high - in_low) * _LEVELS)
    if step < F32(in_step * F32(2.0)):
        step, ratio = F32(in_step * F32(2.0)), HALF
        low, high = F32(step * F32(-zero)), F32(step * F32(255 - zero))
    else:
        ratio = F32(in_step / step)
    in_zero = 0x8000 if signed else sat_u16(to_int(F32(HALF - F32(in_low / in_step))))
    shift = -1 - exponent(F32(ratio * F32(0.99993896)))
    shift = min(7, shift) if signed else max(7, shift)
    while True:
        factor = round_int(ldexp(ratio, shift + 15))
        offset = (zero << shift) - (((in_zero - 0x8000) * factor + (1 << 14)) >> 15)
        if sat_i16(offset) == offset:
            return Narrowing(low, high, factor, offset, shift)
        shift -= 1


@kernel("Convert_16_8", "Convert_u16_8")
def convert_16_8(call: KernelCall) -> list[Array]:
    """16-bit values to uint8, in the range of inputs 3 and 4 where they are given."""
    in_low, in_high = call.scalar(1), call.scalar(2)
    low, high = in_low, in_high
    if len(call.inputs) > 3:
        low, high = call.scalar(3), call.scalar(4)
        require_finite(call.op, low, high)
    signed = call.op == "Convert_16_8"
    scale = narrowing(in_low, in_high, low, high, signed)
    codes = call.inputs[0].astype(np.int32)
    if not signed:
        codes -= 0x8000
    codes *= scale.factor
    codes += 1 << 14
    codes >>= 15
    codes += scale.offset + ((1 << scale.shift) >> 1)
    codes >>= scale.shift
    return [to_codes(codes), *as_range(scale.low, scale.high)]
