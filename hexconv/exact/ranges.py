"""Ranges moved until the zero point is an integer, in ONNX ops (numerics/fixed_point.py)."""

from __future__ import annotations

from collections.abc import Callable

from hexconv.exact.arithmetic import div255
from hexconv.exact.functions import shared
from hexconv.exact.value import Value, larger, smaller, where

NEAR_CODE, NEAR_NEXT = 6.1035156e-05, 0.999938965
MIN_FIXED, MAX_FIXED, BOTH_FIXED = 1, 2, 3


def _parts(low: Value, value_range: Value) -> tuple[Value, Value, Value]:
    """The zero point of a range, its whole part, and the rest."""
    zero = low * -255.0 / value_range
    whole = zero.floor()
    return zero, whole, zero - whole


@shared
def zero_exact(low: Value, high: Value) -> tuple[Value, Value]:
    """One end moved outward until the zero point is an integer (adjust_minmax_for_zero)."""
    value_range = high - low
    _, whole, part = _parts(low, value_range)
    stays = ~(value_range >= 1e-6) | low.equal(0) | (part <= NEAR_CODE) | (part >= NEAR_NEXT)
    cheaper = (part - 1.0) * low >= part * high
    high_moves = (whole > 0) & ((whole > 253) | cheaper)
    moved_high = low - low * 255.0 / whole
    moved_low = high * (whole + 1.0) / (whole - 254.0)
    return (
        where(stays | high_moves, low, moved_low),
        where(stays | ~high_moves, high, moved_high),
    )


@shared
def adjust_range(low: Value, high: Value) -> tuple[Value, Value, Value, Value]:
    """A range opened to hold zero, then one end widened until the zero point is an integer.

    Min, max, step and 1/step (quantize_adjust_range).
    """
    low, high = smaller(0.0, low), larger(0.0, high)
    value_range = larger(1e-18, high - low)
    scale = 255.0 / value_range
    zero = -low * scale
    whole = zero.floor()
    part = zero - whole
    moves = (low < 0) & (part > NEAR_CODE) & (part < NEAR_NEXT)
    high_moves = moves & (whole > 0) & ((whole > 253) | ((part - 1.0) * low >= part * high))
    low_moves = moves & ~high_moves
    range_to_high = low * -255.0 / whole
    moved_low = high * (whole + 1.0) / (whole - 254.0)
    value_range = where(high_moves, range_to_high, where(low_moves, high - moved_low, value_range))
    return (
        where(low_moves, moved_low, low),
        where(high_moves, low + range_to_high, high),
        div255(value_range),
        where(moves, 255.0 / value_range, scale),
    )


def zero_exact_fixed(low: Value, high: Value, fixed: int) -> tuple[Value, Value]:
    """`zero_exact` where some ends are meant to stay: a sum of MIN_FIXED and MAX_FIXED.

    With both, both ends move by the same amount, or the one next to zero where the range is
    lopsided 3:1 (adjust_minmax_for_zero_with_constraints).
    """
    moved: tuple[Value, Value] = _BY_ENDS[fixed](low, high)
    return moved


Ends = tuple[Value, Value]


def _stays(low: Value, value_range: Value, part: Value) -> Value:
    return ~(value_range > 0) | low.equal(0) | (part <= NEAR_CODE) | (part >= NEAR_NEXT)


def _moved(low: Value, high: Value, stays: Value, high_moves: Value, target: Value) -> Ends:
    moved_high = low - low * 255.0 / target
    moved_low = high * target / (target - 255.0)
    return (
        where(stays | high_moves, low, moved_low),
        where(stays | ~high_moves, high, moved_high),
    )


def _costs(low: Value, high: Value, part: Value) -> tuple[Value, Value, Value]:
    """Of moving the maximum and the minimum; whether the nearer code is the next."""
    return (part - 1.0) * low, part * high, part >= 0.5


@shared
def zero_exact_free(low: Value, high: Value) -> Ends:
    """Both ends may move."""
    value_range = high - low
    _, whole, part = _parts(low, value_range)
    cost_max, cost_min, _ = _costs(low, high, part)
    high_moves = (whole >= 1) & ((whole >= 254) | (cost_max >= cost_min))
    target = where(high_moves, whole, whole + 1.0)
    return _moved(low, high, _stays(low, value_range, part), high_moves, target)


@shared
def zero_exact_min_fixed(low: Value, high: Value) -> Ends:
    """The minimum is meant to stay."""
    value_range = high - low
    zero, whole, part = _parts(low, value_range)
    cost_max, cost_min, next_is_nearer = _costs(low, high, part)
    high_moves = (whole >= 1) & ((zero >= 192.25) | (cost_max * 8.0 > cost_min))
    nearest = where(next_is_nearer, whole + 1.0, whole)
    target = where(high_moves, whole, nearest)
    return _moved(low, high, _stays(low, value_range, part), high_moves, target)


@shared
def zero_exact_max_fixed(low: Value, high: Value) -> Ends:
    """The maximum is meant to stay."""
    value_range = high - low
    zero, whole, part = _parts(low, value_range)
    cost_max, cost_min, next_is_nearer = _costs(low, high, part)
    high_moves = (zero >= 63.75) & ((whole >= 254) | (cost_max > cost_min * 8.0))
    nearest = where(next_is_nearer, whole + 1.0, whole)
    target = where(high_moves, nearest, whole + 1.0)
    return _moved(low, high, _stays(low, value_range, part), high_moves, target)


@shared
def zero_exact_both_fixed(low: Value, high: Value) -> Ends:
    """Both ends are meant to stay: both move a little."""
    value_range = high - low
    zero, whole, part = _parts(low, value_range)
    nearest = where(part >= 0.5, whole + 1.0, whole)
    stays = _stays(low, value_range, part)
    shift = (zero - nearest) * value_range * (1.0 / 255.0)
    moved_low, moved_high = _moved(low, high, stays, zero >= 192.25, nearest)
    central = ~stays & (zero > 63.75) & (zero < 192.25)
    return where(central, low + shift, moved_low), where(central, high + shift, moved_high)


_BY_ENDS: dict[int, Callable[..., Ends]] = {
    0: zero_exact_free,
    MIN_FIXED: zero_exact_min_fixed,
    MAX_FIXED: zero_exact_max_fixed,
    BOTH_FIXED: zero_exact_both_fixed,
}
