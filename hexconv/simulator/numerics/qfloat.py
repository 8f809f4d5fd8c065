"""The library's 16-bit floats (nnlib qf16.h, qf16.c, vqf16.h): m * 2**-(e + 15), m an int16."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hexconv.arrays import Array
from hexconv.simulator.numerics.fixed_point import F32
from hexconv.simulator.numerics.hvx import Int, mul_frac, numbers, wrap16


class QFloat(NamedTuple):
    """Mantissas and exponents, int64 arrays that broadcast together."""

    m: Int
    e: Int


def norm_amount16(x: Int) -> Int:
    """`Q6_Vh_vnormamt_Vh`: the left shift that fills bit 14; 15 for 0 and -1."""
    bits = np.frexp(np.where(x < 0, ~x, x).astype(np.float64))[1].astype(np.int64)
    amount: Int = 15 - bits
    return amount


def _normalized(m: Int, e: Int) -> QFloat:
    amount = norm_amount16(m)
    return QFloat(wrap16(m << amount), e + amount)


def from_float(values: Array) -> QFloat:
    """`f2q`; zero becomes 2**-127."""
    bits = np.atleast_1d(np.asarray(values, np.float32)).view(np.int32).astype(np.int64)
    exponent = 126 - ((bits >> 23) & 0xFF)
    mantissa = ((bits << 7) | 0x40000000) & 0x7FFFFF80
    mantissa = np.where(bits & 0x80000000, -mantissa, mantissa)
    return QFloat(wrap16((mantissa + (1 << 15)) >> 16), exponent)


def from_int32(values: Int) -> QFloat:
    """`i2q`, and how getstats_asm converts sums, maxima and minima: truncated to 16 bits."""
    bits = np.frexp(np.where(values < 0, ~values, values).astype(np.float64))[1]
    amount = 31 - bits.astype(np.int64)
    return QFloat((values << amount) >> 16, amount - 31)


def from_uint64(values: Int) -> QFloat:
    """`uli2q`: the top 15 bits of a sum of squares (getstats_h.S)."""
    bits = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    # A rounding conversion to float64 may claim one bit too many.
    bits = np.where(values >> np.maximum(bits - 1, 0) == 0, bits - 1, bits)
    bits = np.maximum(bits, 0)
    m = np.where(bits >= 15, values >> np.maximum(bits - 15, 0), values << np.maximum(15 - bits, 0))
    return QFloat(m, np.where(values == 0, 0, -bits))


def to_float(value: QFloat) -> Array:
    """`q2f`."""
    return np.ldexp(value.m.astype(np.float32), -(value.e + 15)).astype(np.float32)


def _aligned(a: QFloat, b: QFloat) -> tuple[Int, Int]:
    """Both mantissas at the smaller exponent, by right shifts of at most 15."""
    distance = np.minimum(np.abs(a.e - b.e), 15)
    greater = a.e > b.e
    return a.m >> np.where(greater, distance, 0), b.m >> np.where(greater, 0, distance)


def add(a: QFloat, b: QFloat) -> QFloat:
    """`vaddqf`: half the sum, rounded, normalized."""
    x, y = _aligned(a, b)
    return _normalized((x + y + 1) >> 1, np.minimum(a.e, b.e) - 1)


def subtract(a: QFloat, b: QFloat) -> QFloat:
    """`vsubqf`: half the difference, truncated, normalized."""
    x, y = _aligned(a, b)
    return _normalized((x - y) >> 1, np.minimum(a.e, b.e) - 1)


def multiply(a: QFloat, b: QFloat) -> QFloat:
    """`vmpyqf`."""
    return _normalized(mul_frac(a.m, b.m), a.e + b.e)


def _zero_flushed(a: QFloat) -> QFloat:
    return QFloat(a.m, np.where(a.m == 0, 15, a.e))


def greater(a: QFloat, b: QFloat) -> Array:
    """`vcmpgtqf`."""
    x, y = _aligned(_zero_flushed(a), _zero_flushed(b))
    result: Array = x > y
    return result


def select(condition: Array, a: QFloat, b: QFloat) -> QFloat:
    """`a` where the condition holds, else `b`."""
    return QFloat(np.where(condition, a.m, b.m), np.where(condition, a.e, b.e))


def smaller_of(a: QFloat, b: QFloat) -> QFloat:
    """`vminqf`."""
    a, b = _zero_flushed(a), _zero_flushed(b)
    return select(greater(b, a), a, b)


def larger_of(a: QFloat, b: QFloat) -> QFloat:
    """`vmaxqf`."""
    a, b = _zero_flushed(a), _zero_flushed(b)
    return select(greater(a, b), a, b)


def smallest(a: QFloat) -> QFloat:
    """`vminrqf`: over the last axis of 32, in halves as the vector unit folds it."""
    while a.m.shape[-1] > 1:
        half = a.m.shape[-1] // 2
        a = smaller_of(_part(a, 0, half), _part(a, half, 2 * half))
    return a


def largest(a: QFloat) -> QFloat:
    """`vmaxrqf`."""
    while a.m.shape[-1] > 1:
        half = a.m.shape[-1] // 2
        a = larger_of(_part(a, 0, half), _part(a, half, 2 * half))
    return a


def _part(a: QFloat, start: int, stop: int) -> QFloat:
    return QFloat(a.m[..., start:stop], a.e[..., start:stop])


# lut_isqrt_asm of qftables.h: orders 0, 1, 2.
_ISQRT = (
    numbers(
        "23170 22479 21845 21263 20724 20225 19760 19325 "
        "18919 18536 18176 17837 17515 17211 16921 16646"
    ),
    numbers(
        "-11570 -10565 -9698 -8944 -8282 -7698 -7180 -6717 "
        "-6302 -5927 -5589 -5282 -5001 -4745 -4510 -4293"
    ),
    numbers("8052 6950 6048 5302 4679 4153 3707 3325 2996 2711 2462 2244 2052 1883 1732 1598"),
)


def inverse_root(a: QFloat) -> QFloat:
    """`visqrt64_asm`; non-positive values count as 2**-30."""
    positive = a.m > 0
    m, e = np.where(positive, a.m, 0x4000), np.where(positive, a.e, 29)
    segment, x = (m >> 10) & 15, (2 * m) & 0x7FF
    y = wrap16(mul_frac(x, _ISQRT[2][segment]) + _ISQRT[1][segment])
    y = wrap16(mul_frac(x, y) + _ISQRT[0][segment])
    y = np.where(e & 1, mul_frac(y, 0x5A83), y)
    return QFloat(y, (-e >> 1) - 1)


def scalar(value: float | np.float32) -> QFloat:
    """One number, broadcastable."""
    return from_float(np.asarray([F32(value)]))
