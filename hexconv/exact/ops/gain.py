"""From int32 sums to output codes, in a range that is given or found (numerics/output_range.py,
requantize_gain.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hexconv.exact.arithmetic import (
    div255,
    exponent,
    int_power2,
    power2,
    round_uint,
    shift_left,
    shift_right,
    to_codes,
    wrap32,
)
from hexconv.exact.functions import ExactCall, shared
from hexconv.exact.ranges import (
    BOTH_FIXED,
    MAX_FIXED,
    MIN_FIXED,
    zero_exact,
    zero_exact_fixed,
)
from hexconv.exact.value import Scope, Value, larger, smaller, where

MOST_RECIP = float(0x7FFFFFFF)
MOST_GAIN = 1.75
TIE = 2.0**-34
"""Ties go upward: see numerics/requantize_gain.py."""
SUFFIX = {BOTH_FIXED: "", 0: "_finds_range", MIN_FIXED: "_finds_max", MAX_FIXED: "_finds_min"}
"""Of the functions that find the ends of their range from the data."""


def fixed_ends(call: ExactCall, low: int, high: int) -> int:
    """Which ends of the output range the node gives, at two of its inputs."""
    given_low = float(call.const(low).flat[0]) != -np.inf
    given_high = float(call.const(high).flat[0]) != np.inf
    return MIN_FIXED * given_low + MAX_FIXED * given_high


class QParams(NamedTuple):
    """Step (float32) and zero code (int64) of a tensor."""

    size: Value
    zero: Value


class Factors(NamedTuple):
    """What each channel's sums are multiplied by, beside the gain of the node.

    Args:
        factor: (1,1,1,out) float32.
        largest: the largest of them, at least 1, where the library looks at it.
        plain: whether there are none: all are 1.
    """

    factor: Value
    largest: Value
    plain: Value


class OutRange(NamedTuple):
    """An output range as it is now in use; both float32."""

    low: Value
    high: Value

    def step(self) -> Value:
        """What one output code is worth."""
        step: Value = div255(self.high - self.low)
        return step


class Gain(NamedTuple):
    """sat8((sum << shift) * recip + 2^30 >> 31), and the range that this is for.

    Args:
        product: what one step of a sum is worth.
        recip: int64, one a channel.
        shift: int64.
        out: the range.
    """

    product: Value
    recip: Value
    shift: Value
    out: OutRange


@dataclass(frozen=True)
class Search:
    """How a node comes by its output range.

    Args:
        fixed: which ends are given.
        guess: what is tried first for the others.
        attempts: how often the library executes the node.
        limits: whether the first guess is widened until the gain is at most 1.75.
        exact: whether the zero point is made an integer after every change, or only where both
            ends are free.
    """

    fixed: int
    guess: tuple[float, float]
    attempts: int
    limits: bool = True
    exact: bool = True

    def start(self, asked: OutRange) -> OutRange:
        """What is given, and the guess for the rest."""
        body = asked.low.body
        low = (
            asked.low if self.fixed & MIN_FIXED else body.constant([[[[self.guess[0]]]]], "float32")
        )
        high = (
            asked.high
            if self.fixed & MAX_FIXED
            else body.constant([[[[self.guess[1]]]]], "float32")
        )
        moved = zero_exact_fixed(low, high, self.fixed)
        return OutRange(where(low < 0, moved[0], low), where(low < 0, moved[1], high))


def choose_gain(
    source_size: Value,
    weight_size: Value,
    out: OutRange,
    factors: Factors,
    search: Search,
    *,
    first: bool,
) -> Gain:
    """The multipliers of each channel (fill_info_minmax_basics of supernode_utils.h)."""
    product = source_size * weight_size
    accumulator = factors.largest * product
    gain = accumulator / out.step()
    if first and search.limits and search.fixed != BOTH_FIXED:
        out, gain = _limited(out, gain, accumulator, search.fixed)
    shift = where(gain <= 1.0, 0, exponent(gain))
    up = power2(31 - shift)
    scaled = product / out.step() * up * factors.factor
    by_channel = (scaled + 0.5).floor().to("float64").clip(0.0, MOST_RECIP).to("int64")
    at_once = round_uint(gain * up).clip(0, int(MOST_RECIP))
    return Gain(product, where(factors.plain, at_once, by_channel), shift, out)


def _limited(out: OutRange, gain: Value, accumulator: Value, fixed: int) -> tuple[OutRange, Value]:
    """A guessed range that asks for a gain above 1.75 is widened."""
    size, widens = accumulator / MOST_GAIN, gain > MOST_GAIN
    if fixed == 0:
        wider = OutRange(size * -63.0, size * 192.0)
        return choose(widens, wider, out), where(widens, MOST_GAIN, gain)
    reach = size * 255.0
    if fixed == MIN_FIXED:
        from_zero, asked = out.low >= 0, OutRange(out.low, out.low + reach)
    else:
        from_zero, asked = out.low > out.high, OutRange(out.high - reach, out.high)
    wider = choose(from_zero, asked, OutRange(*zero_exact_fixed(*asked, fixed)))
    now = where(from_zero, MOST_GAIN, accumulator / wider.step())
    return choose(widens, wider, out), where(widens, now, gain)


def choose(condition: Value, then: OutRange, otherwise: OutRange) -> OutRange:
    """One of two ranges."""
    return OutRange(
        where(condition, then.low, otherwise.low), where(condition, then.high, otherwise.high)
    )


def unclipped(sums: Value, gain: Gain) -> Value:
    """The codes of int64 sums before they are held in 0..255."""
    wrapped = wrap32(shift_left(sums, gain.shift))
    return shift_right(wrapped * gain.recip + 2**30, 31)


def requantize(sums: Value, gain: Gain, offsets: Value, terms: Value) -> Value:
    """uint8 codes of int32 sums of `terms` products each.

    In double where that is exact: no sum leaves 32 bits, and no constant is far outside.
    """
    most = terms * (255 * 255) + offsets.abs().reduce("Max")
    factor = gain.recip.to("float64") * (int_power2(gain.shift).to("float64") * 2.0**-31)
    constant = offsets.to("float64") * factor + (0.5 + TIE)
    fits = (shift_left(most, gain.shift) < 2**31) & (constant.abs().reduce("Max") < 2.0**16)

    def in_double(inner: Scope) -> list[Value]:
        return [to_codes(sums.to("float64") * factor + constant)]

    def in_integers(inner: Scope) -> list[Value]:
        return [to_codes(unclipped(sums.to("int64") + offsets, gain))]

    return sums.body.choose(fits, in_double, in_integers)[0]


Scaled = Callable[[OutRange, bool], tuple[Gain, Value]]
"""Gain and offsets for a range, and whether it is the first that is tried."""
Reached = Callable[[Gain, Value], tuple[Value, Value]]
"""The smallest and the largest code before clipping."""


def find_range(
    asked: OutRange, search: Search, scaled: Scaled, reached: Reached
) -> tuple[Gain, Value, OutRange]:
    """Gain, offsets and range of the execution in which the data fits, or of the last one."""
    if search.fixed == BOTH_FIXED:
        gain, offsets = scaled(search.start(asked), False)
        return gain, offsets, gain.out
    out, tried = search.start(asked), []
    for attempt in range(search.attempts):
        gain, offsets = scaled(out, attempt == 0)
        out, moved = _grown(asked, gain.out, *reached(gain, offsets), search)
        tried.append((gain, offsets, out, moved))
    gain, offsets, out, _ = tried[-1]
    for earlier, its_offsets, its_out, moved in reversed(tried[:-1]):
        gain = Gain(
            gain.product,
            where(moved, gain.recip, earlier.recip),
            where(moved, gain.shift, earlier.shift),
            choose(moved, gain.out, earlier.out),
        )
        offsets = where(moved, offsets, its_offsets)
        out = choose(moved, out, its_out)
    return gain, offsets, out


def _grown(
    asked: OutRange, out: OutRange, lowest: Value, highest: Value, search: Search
) -> tuple[OutRange, Value]:
    """The ends that are not given widened until the codes fit; whether anything moved."""
    size, fixed = out.step(), search.fixed
    low, high = out
    moves = []
    if not fixed & MAX_FIXED:
        top = size * (highest.to("float32") + 0.5) + out.low
        moves.append(highest > 255)
        high = where(moves[-1], quarter_octave_up(larger(top, _constant(top, 2.0**-4))), high)
    if not fixed & MIN_FIXED:
        bottom = size * (lowest.to("float32") - 0.5) + out.low
        moves.append(lowest < 0)
        reach = smaller(bottom, _constant(bottom, -(2.0**-8)))
        low = where(moves[-1], quarter_octave_up(reach), low)
    moved = moves[0] | moves[-1]
    if not search.exact:
        wider = OutRange(low, high)
        if fixed == 0:
            wider = OutRange(*zero_exact(low, high))
        return choose(moved, wider, out), moved
    low = where(moved, asked.low, low) if fixed & MIN_FIXED else low
    high = where(moved, asked.high, high) if fixed & MAX_FIXED else high
    wider = OutRange(*zero_exact_fixed(low, high, fixed))
    return choose(moved, wider, out), moved


def _constant(like: Value, value: float) -> Value:
    return like.body.constant(value, "float32")


@shared
def quarter_octave_up(value: Value) -> Value:
    """The next power of 2**(1/4) but one (round_up_quarter_octave of supernode_utils.h)."""
    scaled = value * 1.18920708
    octave = exponent(scaled)
    rest = scaled.abs() * power2(-octave)
    size = power2(octave)
    for step in (0.8408964276, 0.7071067691, 0.594603539):
        size = where(rest < step, power2(octave) * step, size)
    return where(value < 0, -size, size)
