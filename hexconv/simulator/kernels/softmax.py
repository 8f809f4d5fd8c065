"""QuantizedSoftmax_8 and its d32 form (nnlib op_softmax_d32.c).

The exponentials depend only on how far a value is below its row's maximum, so 256 entries of
each are tabulated once; a row then costs two lookups, a sum and a scaling.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from hexconv import native
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import F32, div255, exponent, power2, round_int, sat_i16
from hexconv.simulator.numerics.hvx import (
    POW2_V65,
    Int,
    count_leading_zeros32,
    mul_frac,
    norm_amount32,
    numbers,
    poly_v65,
    recip16,
    sat16,
    satu8,
    shift_round,
    table,
)
from hexconv.simulator.registry import KernelCall, kernel

# hvx_constants.c, lut_Log2_and_Pow2[3*64:]: 2**-x in 16 segments, orders 0, 1, 2.
POW2 = (
    numbers(
        "32767 31379 30048 28774 27554 26386 25268 24196 "
        "23170 22188 21247 20347 19484 18658 17867 17109"
    ),
    numbers(
        "-22709 -21746 -20824 -19941 -19096 -18286 -17511 -16769 "
        "-16058 -15377 -14725 -14101 -13503 -12930 -12382 -11857"
    ),
    numbers("7703 7377 7064 6765 6478 6203 5940 5688 5447 5216 4995 4783 4580 4386 4200 4022"),
)
LARGE_DEPTH = 1408  # MIN_DEPTH_FOR_LARGED
LARGE_SIZE = LARGE_DEPTH * 4  # MIN_SIZE_FOR_LARGED
_ZERO = np.zeros((1, 1, 1, 1), np.float32)
_ONE = np.ones((1, 1, 1, 1), np.float32)


@dataclass(frozen=True)
class _Exponentials:
    """exp of 0..255 below the maximum: 15 fraction bits, and 31 - `shift` bits, int32."""

    exp16: Array
    exp32: Array
    shift: int


@kernel("QuantizedSoftmax_8")
def softmax_flat(call: KernelCall) -> list[Array]:
    """`softmax_flat_execute`: depth 1, 2 and at least 1408 have their own algorithms."""
    data = call.inputs[0]
    depth = data.shape[3]
    if depth == 1:
        return [np.full_like(data, 255), _ZERO, _ONE]
    if depth == 2:
        return [_pairs(call, data), _ZERO, _ONE]
    if depth >= LARGE_DEPTH and data.size >= LARGE_SIZE:
        return [_large_depth(call, data), _ZERO, _ONE]
    return [_rows(call, data), _ZERO, _ONE]


@kernel("QuantizedSoftmax_8_d32")
def softmax_d32(call: KernelCall) -> list[Array]:
    """`softmax_d32_execute`."""
    return [_rows(call, call.inputs[0]), _ZERO, _ONE]


def _range_times_beta(call: KernelCall) -> tuple[np.float32, np.float32]:
    beta = call.scalar(3) if len(call.inputs) > 3 else F32(1)
    return F32(call.scalar(2) - call.scalar(1)), beta


def _is_v65(call: KernelCall) -> bool:
    return call.library != "v60"


def _scaling(value_range: np.float32, beta: np.float32, depth: int) -> tuple[int, int, int]:
    """`set_scaling_parms`: multiplier of the values, its right shift, bits kept for the sum."""
    scale = F32(F32(value_range * beta) * F32(1.0 / (255.0 * 0.69314718055994)))
    rsh = min(31, 7 - exponent(scale))
    accumulator_shift = max(2, (depth - 1).bit_length())
    if rsh < 0 or accumulator_shift > 16:
        raise GraphError(
            "Softmax cannot run: its input range times beta is too large, or its depth is",
            where="QuantizedSoftmax_8",
            why=f"range {value_range:g}, beta {beta:g}, depth {depth} (op_softmax_d32.c)",
            hint="narrow the calibrated range of the scores, or lower beta",
        )
    multiplier = sat_i16(round_int(F32(scale * power2(rsh + 8))))
    return multiplier, rsh, accumulator_shift


def _pow2_fraction(fraction: Int, *, v65: bool) -> Int:
    """2**-x of 16 fraction bits, in 15 bits: 0x4000 .. 0x7fff (`hvx_pow2_func`)."""
    if v65:
        inverted = 0xFFFF - fraction
        return poly_v65(inverted, POW2_V65)
    segment = fraction >> 12
    x = (fraction & 0x0FFF) >> 1
    slope = sat16(POW2[1][segment] + mul_frac(POW2[2][segment], x))
    return sat16(POW2[0][segment] + mul_frac(slope, x))


def _exponentials(call: KernelCall, depth: int) -> _Exponentials:
    def make() -> _Exponentials:
        value_range, beta = _range_times_beta(call)
        multiplier, rsh, shift = _scaling(value_range, beta, depth)
        below = np.arange(256, dtype=np.int64) * 256 * multiplier >> rsh
        whole = np.minimum(below >> 16, 31)
        power = _pow2_fraction(below & 0xFFFF, v65=_is_v65(call))
        exp32 = (power << (16 - shift)) >> whole
        exp16 = sat16(shift_round(exp32, 16 - shift))
        return _Exponentials(exp16.astype(np.int32), exp32.astype(np.int32), shift)

    return call.settled(1, make)


def _rows(call: KernelCall, data: Array) -> Array:
    """`softmax_operate_hvx_function`: every row along depth."""
    tables, v65 = _exponentials(call, data.shape[3]), _is_v65(call)
    passes = native.library()
    if passes is not None:
        factors = partial(_row_factors, kept_bits=tables.shift, v65=v65)
        return passes.softmax(data, tables.exp32, tables.exp16, factors)
    below = data.max(axis=3, keepdims=True) - data
    total = tables.exp32.take(below).sum(axis=3, keepdims=True, dtype=np.int64)
    mantissa, shift = _row_factors(total, tables.shift, v65=v65)
    # Both factors are below 2**15: int32 holds the product, and 12 + 6 bits are shifted off.
    scaled = tables.exp16.take(below) * mantissa
    scaled >>= shift
    scaled >>= 12
    np.minimum(scaled, 32767, out=scaled)
    return satu8((scaled + 32) >> 6)


def _row_factors(total: Int, kept_bits: int, *, v65: bool) -> tuple[Array, Array]:
    """Multiplier and right shift of a row's exponentials, int32."""
    normalized = norm_amount32(total)
    mantissa = mul_frac(recip16((total << normalized) >> 16, v65=v65), 255 << 7)
    shift = np.maximum(kept_bits + 3 - normalized, 0)
    return mantissa.astype(np.int32), shift.astype(np.int32)


def _exp_approx(x: np.float32) -> np.float32:
    """`expf_approx`: a cubic in float32, good for 11 bits."""
    fixed = round_int(F32(x * F32(16384.0 / 0.69314718056)))
    xf = F32(F32(fixed & 0x3FFF) * F32(1.0 / 16384.0))
    inner = F32(F32(0.23793659) + F32(xf * F32(0.07154756)))
    middle = F32(F32(0.69051585) + F32(xf * inner))
    power: F32 = F32(power2(fixed >> 14) * F32(F32(1) + F32(xf * middle)))
    return power


def _pairs(call: KernelCall, data: Array) -> Array:
    """`softmax_d2_flat_exec`: a table over the difference; equal values give 128 and 127."""
    value_range, beta = _range_times_beta(call)

    def make() -> Array:
        k = div255(F32(beta * value_range))
        values = [128]
        for i in range(1, 256):
            value = F32(F32(255) / F32(F32(1) + _exp_approx(F32(-k * F32(i)))))
            values.append(255 if values[-1] == 255 else round_int(value))
        return np.asarray(values, np.uint8)

    larger = call.memo(f"pairs {value_range} {beta}", make)
    difference = data[..., 0].astype(np.int16) - data[..., 1]
    winner = larger[np.abs(difference)]
    first = np.where(difference < 0, 255 - winner, winner)
    return np.stack([first, 255 - first], axis=3)


def _large_depth_tables(fullscale: np.float32) -> tuple[Int, Int]:
    """`fill_largedepth_lookup`: exp(step * (i - 255)), 15 bits, and 32 bits."""
    step = div255(fullscale)
    two_steps = F32(np.expm1(np.float64(F32(float(step) * 2.0))))
    one_step = F32(np.expm1(np.float64(step)))
    exp16, exp32 = [], []
    for start in range(0, 256, 4):
        y0 = F32(np.exp(np.float64(F32(step * F32(start - 255)))))
        y1 = F32(y0 + F32(y0 * one_step))
        for _ in range(4):
            exp16.append(round_int(F32(y0 * F32(255 * 128))))
            whole = int(F32(F32(0.5) + F32(y0 * F32(4294967296.0))))
            exp32.append(0xFFFFFFFF if y0 >= 1 else whole)
            y0, y1 = y1, F32(y0 + F32(y0 * two_steps))
    exp16[255], exp32[255] = 0x7F80, 0xFFFFFFFF
    return table(exp16), table(exp32)


def _large_depth(call: KernelCall, data: Array) -> Array:
    """`softmax_larged_batchchunk`: from a histogram of each row."""
    depth = data.shape[3]
    if depth > 65536:
        raise GraphError("Softmax over more than 65536 values is not supported")
    value_range, beta = _range_times_beta(call)
    fullscale = F32(beta * value_range)
    exp16, exp32 = call.memo(f"large {fullscale}", lambda: _large_depth_tables(fullscale))
    below = data.max(axis=3, keepdims=True) - data
    gathered = exp32[255 - below]
    high = (gathered >> 16).sum(axis=3, keepdims=True)
    low = (gathered & 0xFFFF).sum(axis=3, keepdims=True)
    total = high + (low >> 16)
    shift = count_leading_zeros32(total)
    mantissa = recip16(((total << shift) & 0xFFFFFFFF) >> 17, v65=_is_v65(call))
    scale = sat16(shift_round(mantissa << shift, 15))
    # Values 192 and more below the maximum are beyond the library's table and give 0.
    scaled = np.where(below < 192, mul_frac(exp16[255 - below], scale), 0)
    return satu8(shift_round(scaled, 7))
