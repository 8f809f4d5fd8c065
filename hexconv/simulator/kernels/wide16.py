"""Add, Sub and Mul of 16-bit values (nnlib op_addsubmul_16.c, op_addsubmul16_d32.c, oper16.c).

All take a static output range (inputs 6 and 7), which the library widens where it is far too
narrow for the inputs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hexconv.arrays import Array
from hexconv.simulator.numerics.fixed_point import (
    F32,
    HALF,
    as_range,
    broadcast_shape,
    clip_to,
    derived,
    exponent,
    frac_mul,
    ldexp,
    one_sided_broadcast,
    require_finite,
    round_int,
    round_uint,
    sat_u16,
    to_int,
)
from hexconv.simulator.registry import KernelCall, kernel

_LEVELS = F32(1.0 / 65536.0)


class Ranges(NamedTuple):
    """Ranges of a, b and the output; float32 values."""

    a: tuple[float, float]
    b: tuple[float, float]
    out: tuple[float, float]


def ranges_of(call: KernelCall) -> Ranges:
    """The three ranges of a node with 8 inputs."""
    a_low, a_high, b_low, b_high, low, high = (tensor.item() for tensor in call.inputs[2:8])
    require_finite(call.op, low, high)
    return Ranges((a_low, a_high), (b_low, b_high), (low, high))


def step_of(value_range: tuple[float, float]) -> F32:
    """One of 65536 levels."""
    step: F32 = F32(F32(value_range[1]) - F32(value_range[0])) * _LEVELS
    return step


class SumScale(NamedTuple):
    """out = (a*scale_a + b*scale_b) >> shift, in the output's scale."""

    low: F32
    high: F32
    scale_a: int
    scale_b: int
    shift: int


@derived
def sum_scale(ranges: Ranges, signed: bool, out_zero: int) -> SumScale:
    """Integer factors of Add and Sub (`set_addsub_scaling`)."""
    a_step, b_step, step = (step_of(value_range) for value_range in ranges)
    low, high = F32(ranges.out[0]), F32(ranges.out[1])
    narrowest = F32(max(a_step, b_step) * F32(1.0 / 8192.0))
    if step < narrowest:
        step = narrowest
        low, high = F32(F32(-out_zero) * step), F32(F32(65536 - out_zero) * step)
    a_gain, b_gain = F32(a_step / step), F32(b_step / step)
    least = 0 if signed else -1
    shift = 15 - max(least, exponent(F32(F32(1.00004) * max(a_gain, b_gain))))
    scale_a = min(32767, round_uint(ldexp(a_gain, shift)))
    scale_b = min(32767, round_uint(ldexp(b_gain, shift)))
    return SumScale(low, high, scale_a, scale_b, shift + least)


@kernel("QuantizedAdd_16", "QuantizedSub_16")
def add_sub_signed(call: KernelCall) -> list[Array]:
    """Sum or difference of int16 values, any broadcast."""
    a, b = call.inputs[:2]
    broadcast_shape(call.op, a, b)
    scale = sum_scale(ranges_of(call), True, 0x8000)
    left = a.astype(np.int32)
    left *= scale.scale_a
    right = b.astype(np.int32)
    right *= scale.scale_b if call.op == "QuantizedAdd_16" else -scale.scale_b
    # The largest magnitude, 2*32767*32768 and the rounding bias, still fits int32.
    total = left + right
    total += (1 << scale.shift) >> 1
    total >>= scale.shift
    return [clip_to(total, np.int16), *as_range(scale.low, scale.high)]


def zero_u16(value_range: tuple[float, float], step: F32) -> int:
    """The zero point of a uint16 range (`get_qu16_level_size_zero`)."""
    return sat_u16(round_int(F32(-F32(value_range[0]) / step)))


@kernel("QuantizedAdd_u16_d32", "QuantizedSub_u16_d32")
def add_sub_unsigned(call: KernelCall) -> list[Array]:
    """Sum or difference of uint16 values, one operand broadcast to the other.

    A subtracted operand enters as its ones' complement.
    """
    a, b = call.inputs[:2]
    one_sided_broadcast(call.op, a, b)
    ranges = ranges_of(call)
    a_zero, b_zero, out_zero = (
        zero_u16(value_range, step_of(value_range)) for value_range in ranges
    )
    scale = sum_scale(ranges, False, out_zero)
    right = b.astype(np.int64)
    if call.op == "QuantizedSub_u16_d32":
        right, b_zero = 65535 - right, 65535 - b_zero
    delta = (out_zero << scale.shift) - ((a_zero * scale.scale_a + b_zero * scale.scale_b) >> 1)
    total = a.astype(np.int64) * scale.scale_a + right * scale.scale_b
    total >>= 1
    total += delta + ((1 << scale.shift) >> 1)
    total >>= scale.shift
    return [clip_to(total, np.uint16), *as_range(scale.low, scale.high)]


class ProductScale(NamedTuple):
    """The factor of a product, with 31 fractional bits."""

    low: F32
    high: F32
    factor: int


@derived
def product_scale(ranges: Ranges, out_zero: int, extra_bits: int) -> ProductScale:
    """The factor of Mul (`set_mul_scaling`); `extra_bits` are kept below the output's LSB."""
    a_step, b_step, step = (step_of(value_range) for value_range in ranges)
    low, high = F32(ranges.out[0]), F32(ranges.out[1])
    unit = F32(F32(a_step * b_step) * F32(1 << extra_bits))
    most = F32(4095.0 / 4096.0) if extra_bits else F32(1.0)
    if unit > F32(step * most):
        step = F32(unit / most)
        low = F32(-step * F32(out_zero))
        high = F32(step * F32(F32(65536.0) - F32(out_zero)))
        ratio = most
    else:
        ratio = F32(unit / step)
    return ProductScale(low, high, min(0x7FFFFFFF, round_uint(F32(ratio * F32(1 << 31)))))


def stretched_inside(a: Array, b: Array) -> int:
    """Which operand (0, 1) is a single value along the innermost loop; -1 for neither.

    `nn_elementwise_with_broadcast` (broadcast.c) then scales that value before it multiplies.
    """
    for a_size, b_size in zip(a.shape[::-1], b.shape[::-1], strict=True):
        if a_size != b_size:
            return 0 if a_size == 1 else 1
        if a_size > 1:
            return -1
    return -1


@kernel("QuantizedMul_16")
def mul_signed(call: KernelCall) -> list[Array]:
    """Product of int16 values, any broadcast."""
    a, b = call.inputs[:2]
    broadcast_shape(call.op, a, b)
    scale = product_scale(ranges_of(call), 0x8000, 0)
    single = stretched_inside(a, b)
    if single < 0:
        codes = frac_mul(np.multiply(a, b, dtype=np.int32), scale.factor)
    else:
        values, others = (a, b) if single == 0 else (b, a)
        gain = (values.astype(np.int64) * scale.factor + (1 << 15)) >> 16
        codes = (others * gain + (1 << 14)) >> 15
    return [clip_to(codes, np.int16), *as_range(scale.low, scale.high)]


def cut_zero_u16(value_range: tuple[float, float]) -> int:
    """The zero point as the flat Mul computes it: a half added, then truncated."""
    return sat_u16(to_int(F32(F32(-F32(value_range[0]) / step_of(value_range)) + HALF)))


@kernel("QuantizedMul_u16", "QuantizedMul_u16_d32")
def mul_unsigned(call: KernelCall) -> list[Array]:
    """Product of uint16 values; the flat form supports any broadcast."""
    a, b = call.inputs[:2]
    ranges = ranges_of(call)
    if call.op == "QuantizedMul_u16":
        broadcast_shape(call.op, a, b)
        a_zero, b_zero, out_zero = (cut_zero_u16(value_range) for value_range in ranges)
    else:
        one_sided_broadcast(call.op, a, b)
        a_zero, b_zero, out_zero = (
            zero_u16(value_range, step_of(value_range)) for value_range in ranges
        )
    scale = product_scale(ranges, out_zero, 3)
    bias = (32768 - a_zero) - (2 * a_zero - 65535) * (b_zero - 32768)
    after = 8 * out_zero - ((bias * scale.factor + (1 << 30)) >> 31)
    product = (a.astype(np.int64) - a_zero) * (b.astype(np.int64) - b_zero)
    product += bias
    codes = frac_mul(product, scale.factor)
    codes += after + 4
    codes >>= 3
    return [clip_to(codes, np.uint16), *as_range(scale.low, scale.high)]
