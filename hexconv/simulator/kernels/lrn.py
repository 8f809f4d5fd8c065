"""QuantizedLRN_8_d32: local response normalization along depth (op_lrn_d32.c, lrn_d32_hvx.S).

x * 2**-(beta * log2(kappa + sum of squares) + sigma), log2 and 2**-x by 16 segments each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.softmax import POW2
from hexconv.simulator.numerics.fixed_point import (
    F32,
    as_range,
    div255,
    round_int,
    sat_u8,
    zero_exact,
)
from hexconv.simulator.numerics.hvx import (
    Int,
    count_leading_zeros32,
    mul_frac,
    mul_frac32,
    numbers,
    satu8,
    wrap16,
    wrap32,
)
from hexconv.simulator.registry import KernelCall, kernel

# hvx_constants.c, lut_Log2_and_Pow2[:3*64]: log2(1 + x), orders 0, 1, 2.
_LOG2 = (
    numbers(
        "0 2866 5568 8124 10549 12856 15055 17156 19168 21098 22952 24736 26455 28114 29717 31267"
    ),
    numbers(
        "23622 22233 20999 19895 18901 18002 17184 16438 "
        "15753 15123 14542 14004 13504 13038 12604 12198"
    ),
    numbers(
        "-5561 -4942 -4422 -3980 -3601 -3274 -2989 -2740 "
        "-2521 -2327 -2155 -2001 -1863 -1739 -1626 -1525"
    ),
)
_RECIPROCAL = 4096  # out_recip: the output's scale is part of sigma


@dataclass(frozen=True)
class _Plan:
    """The fixed-point parameters of one node and the range of its output."""

    in_zero: int
    kappa: int
    sigma: int
    beta: int
    out_zero: int
    low: np.float32
    high: np.float32
    copies: bool


@kernel("QuantizedLRN_8_d32")
def lrn(call: KernelCall) -> list[Array]:
    """`lrn_d32_execute`; the window const contains the divisor of alpha as a float."""
    data = call.inputs[0]
    if call.inputs[3].shape[:3] != (1, 1, 1):
        raise GraphError("LRN sums along depth only (op_lrn_d32.c)", where=call.op)
    radius = (call.inputs[3].shape[3] - 1) >> 1
    plan = call.memo(f"{call.scalar(1)} {call.scalar(2)}", lambda: _plan(call))
    if plan.copies:
        # The bias dominates the squares: the library passes the values on and scales the range.
        scale = _power(call.scalar(4), F32(-call.scalar(6)))
        low, high = F32(call.scalar(1) * scale), F32(call.scalar(2) * scale)
        return [data, *as_range(low, high)]
    centered = data.astype(np.int64) - plan.in_zero
    total = _window_sums(centered * centered, radius) + plan.kappa
    exponent = wrap32(plan.sigma - mul_frac32(_log2(total), plan.beta >> 16))
    product = _shift_right(_pow2(exponent) * centered, (exponent >> 15) + 12)
    codes = satu8(wrap16(mul_frac(wrap16(product), _RECIPROCAL) + plan.out_zero))
    return [codes, *as_range(plan.low, plan.high)]


def _window_sums(squares: Int, radius: int) -> Int:
    depth = squares.shape[3]
    running = np.zeros((*squares.shape[:3], depth + 1), np.int64)
    np.cumsum(squares, axis=3, out=running[..., 1:])
    position = np.arange(depth)
    last = np.minimum(position + radius + 1, depth)
    sums: Int = running[..., last] - running[..., np.maximum(position - radius, 0)]
    return sums


def _log2(value: Int) -> Int:
    """log2 of a uint32 with 15 fraction bits."""
    zeros = count_leading_zeros32(value)
    mantissa = (((value << zeros) & 0xFFFFFFFF) >> 16) & 0xFFFF
    segment, x = (mantissa >> 11) & 15, (mantissa & 0x7FF) * 2
    y = wrap16(mul_frac(_LOG2[2][segment], x) + _LOG2[1][segment])
    y = wrap16(mul_frac(y, x) + _LOG2[0][segment])
    return ((31 - zeros) << 15) | (y & 0xFFFF)


def _pow2(exponent: Int) -> Int:
    """2**-x of the 15 fraction bits."""
    segment, x = (exponent >> 11) & 15, exponent & 0x7FF
    y = wrap16(mul_frac(POW2[2][segment], x) + POW2[1][segment])
    return wrap16(mul_frac(y, x) + POW2[0][segment])


def _shift_right(value: Int, amount: Int) -> Int:
    """`vasr` of words by words: the amount has six bits and a sign."""
    amount = ((amount + 32) & 63) - 32
    left = wrap32(value << np.maximum(-amount, 0))
    return np.where(amount < 0, left, value >> np.maximum(amount, 0))


def _power(base: np.float32, exponent: np.float32) -> np.float32:
    power: F32 = F32(np.power(np.float64(base), np.float64(exponent)))
    return power


def _log2f(value: np.float32) -> np.float32:
    logarithm: F32 = F32(np.log2(np.float64(value)))
    return logarithm


def _plan(call: KernelCall) -> _Plan:
    low, high = call.scalar(1), call.scalar(2)
    window, bias, alpha, beta = (call.scalar(i) for i in range(3, 7))
    _check(int(window), bias, alpha, beta, call.op)
    if int(window) > 1:
        alpha = F32(alpha / F32(int(window)))
    step = div255(F32(high - low))
    out_low, out_high = _output_range(low, high, bias, alpha, beta)
    per_unit = F32(F32(255) / F32(out_high - out_low))
    log_step = F32(_log2f(F32(high - low)) - F32(7.99435344))
    gamma = F32(_log2f(alpha) + F32(F32(2) * log_step))
    sigma = F32(F32(F32(beta * gamma) - log_step) - _log2f(per_unit))
    kappa = F32(bias / F32(F32(alpha * step) * step))
    in_zero = round_int(F32(F32(-low * F32(255)) / F32(high - low)))
    largest_sum = max(-in_zero, 255 - in_zero) ** 2 * ((call.inputs[3].shape[3] - 1) >> 1)
    return _Plan(
        in_zero=in_zero,
        kappa=int(F32(kappa + F32(0.5))),
        sigma=round_int(F32(sigma * F32(32768))),
        beta=round_int(F32(beta * F32(-2147483648.0))),
        out_zero=sat_u8(round_int(F32(-out_low * per_unit))),
        low=out_low,
        high=out_high,
        copies=int(F32(kappa + F32(0.5))) + largest_sum >= 2**32,
    )


def _check(window: int, bias: np.float32, alpha: np.float32, beta: np.float32, op: str) -> None:
    """`lrn_d32_check`."""
    if window < 1 or bias < 1e-6 or alpha <= 0 or not 0 < beta < 1:
        raise GraphError(
            f"LRN with window {window}, bias {bias:g}, alpha {alpha:g}, beta {beta:g}",
            where=op,
            why="window >= 1, bias >= 1e-6, alpha > 0 and 0 < beta < 1 are needed (op_lrn_d32.c)",
        )


def _output_range(
    low: np.float32, high: np.float32, bias: np.float32, alpha: np.float32, beta: np.float32
) -> tuple[np.float32, np.float32]:
    """The largest results: at the ends, or at the peak that beta > 0.5 causes."""
    peak = F32(9e30)
    if beta > F32(0.5):
        slope = F32(alpha * F32(F32(F32(2) * beta) - F32(1)))
        limit = int(max(high, F32(-low)))
        if F32(F32(limit * limit) * slope) > bias:
            peak = np.sqrt(F32(bias / slope))

    def output(x: np.float32) -> np.float32:
        result: F32 = F32(x * _power(F32(bias + F32(F32(alpha * x) * x)), F32(-beta)))
        return result

    out_high = output(min(high, peak))
    if low >= 0:
        return F32(0), out_high
    return zero_exact(output(max(low, F32(-peak))), out_high)
