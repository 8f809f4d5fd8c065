"""Sums and differences of two uint8 tensors (simulator/kernels/elementwise.py)."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from hexconv.arrays import Array
from hexconv.exact.arithmetic import (
    double_power2,
    exponent,
    int_power2,
    ldexp,
    reciprocal,
    round_int,
    sat16,
    scalar4,
    scaled_copy,
    shift_left,
    shift_right,
    step_and_zero,
    to_codes,
)
from hexconv.exact.functions import ExactCall, Form, exact
from hexconv.exact.ops.gain import SUFFIX
from hexconv.exact.ranges import (
    BOTH_FIXED,
    MAX_FIXED,
    MIN_FIXED,
    zero_exact_fixed,
)
from hexconv.exact.value import Scope, Value, larger, maximum, minimum, smaller, where


class Pair(NamedTuple):
    """Two operands, their ranges, and the output range as it is asked for."""

    a: Value
    b: Value
    a_min: Value
    a_max: Value
    b_min: Value
    b_max: Value
    out_min: Value
    out_max: Value

    def swapped(self) -> Pair:
        """The operands exchanged."""
        return self._replace(
            a=self.b,
            b=self.a,
            a_min=self.b_min,
            a_max=self.b_max,
            b_min=self.a_min,
            b_max=self.a_max,
        )


def ends(call: ExactCall) -> tuple[int, tuple[Array, ...]]:
    """Which ends of the output range are given at inputs 6 and 7, and consts for the others."""
    count = len(call.node.inputs)
    low = float(call.const(6).flat[0]) if count > 6 else -np.inf
    high = float(call.const(7).flat[0]) if count > 7 else np.inf
    open_ends = (-np.inf, np.inf)[count - 6 :]
    missing = tuple(np.full((1, 1, 1, 1), end, np.float32) for end in open_ends)
    return MIN_FIXED * (low != -np.inf) + MAX_FIXED * (high != np.inf), missing


def stretched(call: ExactCall) -> bool:
    """Whether the first operand is the one that stretches."""
    a, b = call.shapes[:2]
    return a != b and a != tuple(np.broadcast_shapes(a, b))


def opened(pair: Pair, fixed: int) -> Pair:
    """The ends that are given hold zero, and are not one."""
    low, high = pair.out_min, pair.out_max
    if fixed & MIN_FIXED:
        low = where(low < 0, low, scalar4(low.body.constant(0.0, "float32")))
    if fixed & MAX_FIXED:
        high = where(high > 0, high, scalar4(high.body.constant(0.0, "float32")))
    if fixed == BOTH_FIXED:
        high = larger(low + 1e-6, high)
    return pair._replace(out_min=low, out_max=high)


class SumScaling(NamedTuple):
    """((a*scale_a + b*scale_b >> first) + offset) >> last, saturated."""

    low: Value
    high: Value
    scale_a: Value
    scale_b: Value
    first: Value
    last: Value
    offset: Value
    zero: Value
    unit: Value


def sum_scaling(
    pair: Pair, signs: tuple[int, int], low: Value, high: Value, *, given: bool
) -> SumScaling:
    """Integer factors for one output range (set_addsub_scaling_for_output_range)."""
    step_a, zero_a = step_and_zero(pair.a_min, pair.a_max)
    step_b, zero_b = step_and_zero(pair.b_min, pair.b_max)
    out_scale = 255.0 / (high - low)
    out_zero = -low * out_scale
    factor_a, factor_b = out_scale * step_a, out_scale * step_b
    if signs == (1, 1):
        largest = factor_a + factor_b
    else:
        largest = larger(factor_a, factor_b)
        factor_a, factor_b = factor_a * float(signs[0]), factor_b * float(signs[1])
    shift = minimum(6 - exponent(largest * (16384.0 / 16380.0)), 7)
    unit = ldexp(out_scale.body.constant(1.0, "float32"), shift)
    up = unit * 256.0
    scale_a, scale_b = round_int(factor_a * up), round_int(factor_b * up)
    low_shift = shift <= 0
    pre = where(low_shift, 1 - shift, 0) if given else shift * 0
    by_pre = pre > 0
    zero = shift_right(zero_a * scale_a + zero_b * scale_b, 8 - pre)
    offset = round_int(out_zero * where(by_pre, 2.0, unit)) - zero
    return SumScaling(
        low,
        high,
        scale_a,
        scale_b,
        8 - pre,
        where(by_pre, 1, shift),
        where(by_pre, offset, sat16(offset)),
        zero,
        reciprocal(out_scale * unit),
    )


def added(pair: Pair, scaling: SumScaling) -> Value:
    """The sum as codes. Every step is exact in double, and the last cut is the shift."""
    down = double_power2(-scaling.first - scaling.last)
    half = (int_power2(scaling.last) - int_power2(scaling.last) % 2) / 2
    bias = shift_left(scaling.offset + half, scaling.first).to("float64") * down
    a = pair.a.to("float64") * (scaling.scale_a.to("float64") * down)
    b = pair.b.to("float64") * (scaling.scale_b.to("float64") * down)
    return to_codes(a + b + bias)


def first_range(least: Value, most: Value, pair: Pair, fixed: int) -> tuple[Value, Value]:
    """An eighth of the largest range that the inputs allow, given ends kept."""
    most = larger(most, least + 0.001)
    low, high = least * 0.125, most * 0.125
    zero = low.body.constant(0.0, "float32")
    if fixed == MIN_FIXED:
        low, high = pair.out_min, larger(zero, pair.out_min + (high - low))
    elif fixed == MAX_FIXED:
        low, high = smaller(zero, pair.out_max - (high - low)), pair.out_max
    return zero_exact_fixed(low, high, fixed)


def grown_range(
    pair: Pair,
    fixed: int,
    guess: tuple[Value, Value],
    actual: tuple[Value, Value],
    below: Value | None,
    above: Value | None,
) -> tuple[Value, Value, Value]:
    """The range after one look at the data; whether it has changed."""
    low, high = guess
    actual_low, actual_high = actual
    zero = low.body.constant(0.0, "float32")
    value_range = actual_high - actual_low
    value_range = value_range + larger(value_range * 0.15, zero + 1e-4)
    changed = []
    if below is not None:
        low = where(below, smaller(zero, actual_high - value_range), low)
        changed.append(below)
    if above is not None:
        high = where(above, larger(zero, actual_low + value_range), high)
        changed.append(above)
    low = pair.out_min if fixed & MIN_FIXED else low
    high = pair.out_max if fixed & MAX_FIXED else high
    moved = zero_exact_fixed(low, high, fixed)
    low, high = where(low < 0, moved[0], low), where(low < 0, moved[1], high)
    any_changed = changed[0] | changed[-1]
    return where(any_changed, low, guess[0]), where(any_changed, high, guess[1]), any_changed


def select(condition: Value, then: NamedTuple, otherwise: NamedTuple) -> list[Value]:
    """One of two tuples of scalars."""
    return [where(condition, a, b) for a, b in zip(then, otherwise, strict=True)]


def summed(pair: Pair, signs: tuple[int, int], fixed: int, *, search: bool) -> list[Value]:
    """The output triple of a sum."""
    if fixed == BOTH_FIXED:
        low, high = zero_exact_fixed(pair.out_min, pair.out_max, BOTH_FIXED)
        scaling = sum_scaling(pair, signs, low, high, given=True)
        return [added(pair, scaling), scaling.low, scaling.high]
    (a_low, a_high), (b_low, b_high) = (
        (low, high) if sign > 0 else (-high, -low)
        for (low, high), sign in zip(
            ((pair.a_min, pair.a_max), (pair.b_min, pair.b_max)), signs, strict=True
        )
    )
    first = first_range(a_low + b_low, a_high + b_high, pair, fixed)
    scaling = sum_scaling(pair, signs, *first, given=False)
    if search:
        scaling = _rescaled_sum(pair, signs, fixed, scaling)
    return [added(pair, scaling), scaling.low, scaling.high]


def _rescaled_sum(pair: Pair, signs: tuple[int, int], fixed: int, guess: SumScaling) -> SumScaling:
    """The scaling after one look at the data (check_addsub_need_rerun)."""
    total = pair.a.to("int64") * guess.scale_a + pair.b.to("int64") * guess.scale_b
    least, most = (shift_right(total.reduce(kind), guess.first) for kind in ("Min", "Max"))
    actual_low = (minimum(least, guess.zero) - guess.zero).to("float32") * guess.unit
    actual_high = (maximum(most, guess.zero) - guess.zero).to("float32") * guess.unit
    below = None if fixed & MIN_FIXED else actual_low < guess.low
    above = None if fixed & MAX_FIXED else actual_high > guess.high
    low, high, changed = grown_range(
        pair, fixed, (guess.low, guess.high), (actual_low, actual_high), below, above
    )
    wider = sum_scaling(pair, signs, low, high, given=False)
    return SumScaling(*select(changed, wider, guess))


@exact("QuantizedAdd_8p8to8", "QuantizedAdd_8p8to8_d32", "QuantizedSub_8p8to8_d32")
def add(call: ExactCall) -> Form:
    """Sum or difference; in the d32 form one operand may stretch."""
    op = call.node.op
    fixed, missing = ends(call)
    flat, sign = op == "QuantizedAdd_8p8to8", -1 if "Sub" in op else 1
    swaps = not flat and stretched(call)
    single = not flat and fixed == 0 and 1 in map(prod, call.shapes[:2])
    signs = (sign, 1) if swaps else (1, sign)
    search = not flat or not fixed & MAX_FIXED

    def build(body: Scope, *given: Value) -> list[Value]:
        """Codes scaled by 15-bit factors of one exponent, added or subtracted, shifted down.

        Source: op_add.c, op_add_d32.c.
        """
        pair = Pair(*given).swapped() if swaps else Pair(*given)
        if single:
            return _single_sum(pair, signs)
        if not flat:
            pair = opened(pair, fixed)
        return summed(pair, signs, fixed, search=search)

    suffix = ("_stretches_a" if swaps else "") + ("_one_value" if single else "")
    reads = tuple(range(8 - len(missing)))
    return Form(build, reads, suffix=suffix + SUFFIX[fixed], defaults=missing)


def _single_sum(pair: Pair, signs: tuple[int, int]) -> list[Value]:
    """One value added to, or subtracted from, every element, the range left open.

    The ends move, and codes are squeezed only where zero would fall out of the range
    (addsub_setup_scaling, mode 1111).
    """
    step_a, zero_a = step_and_zero(pair.a_min, pair.a_max)
    step_b, zero_b = step_and_zero(pair.b_min, pair.b_max)
    value = (scalar4(pair.b).to("int64") - zero_b).to("float32") * step_b
    if signs != (1, 1):
        value = -value
    value_range = pair.a_max - pair.a_min
    moved_zero = zero_a.to("float32") - value / step_a
    inside = (moved_zero >= -0.25) & (moved_zero <= 255.25)
    up = value > 0
    moved_low = (-round_int(moved_zero)).to("float32") * step_a
    zero = scalar4(value.body.constant(0.0, "float32"))
    low = where(inside, moved_low, where(up, zero, pair.a_min + value))
    high = where(inside, moved_low + value_range, where(up, pair.a_max + value, zero))
    squeezed = round_int(value_range * 32768.0 / (high - low))
    squeezed = where(up, sat16(squeezed), squeezed)
    scale = where(inside, 32768, squeezed)
    from_top = 128 * 255 - shift_right(squeezed * 255, 8)
    offset = where(inside | ~up, 0, from_top)
    if signs == (-1, 1):
        scale, offset = -scale, 255 * 128 - offset
        low, high = -high, -low
    first = shift_right(offset + 64, 7)
    last = shift_right(scale * 255 + offset * 256 + 16384, 15)
    flat = (scale >= -128) & (scale <= 128) & first.equal(last)
    scale = sat16(where(flat, 0, scale))
    return [scaled_copy(pair.a, scale, offset), low, high]
