"""Ranges with an integer zero point, exactly representable in float32.

A uint8 tensor means `real = min + value * step`, `step = (max - min) / 255`
(docs/nnlib/quirks.md#conventions). The library moves a requested range until its zero point is an
integer; a range built here already has one, so every op uses it unchanged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hexconv.errors import RangeError

Bounds = tuple[float, float]
"""(min, max) of a tensor, as observed or given."""

LEVELS = 255
# A scale of 16 significant bits times an 8-bit value fits float32's 24: min, max and max - min are
# then exact, and no rounding in the library can move the zero point.
STEP_BITS = 16
# Smaller scales would underflow once two of them are multiplied in float32.
SMALLEST_STEP = 2.0**-40
# Beyond it a product of scales, times 2^31, may not be finite in float32: from 1e33 on simulator
# and library differ, from 1e36 on the library returns zeros.
LARGEST_NUMBER = 1e30
# Zero points, and loudness relative to calibration, that a run may bring: what fits in the extremes
# fits in between, but for the factor of a product (nnlib/offsets, WORST_PRODUCT).
RUN_TIME_ZEROS = (0, 128, 255)
RUN_TIME_SCALES = (2.0**-20, 1.0, 10.0)
# For a tensor that is always zero: any scale works, one near 1 needs no extreme factor.
STEP_OF_ZERO = 2.0**-8


@dataclass(frozen=True)
class Range:
    """A static range: `zero` is the zero point, `step` the scale."""

    step: float
    zero: int

    @property
    def min(self) -> float:
        """The value of level 0."""
        return -self.zero * self.step

    @property
    def max(self) -> float:
        """The value of level 255."""
        return (LEVELS - self.zero) * self.step

    def scaled(self, factor: float) -> Range:
        """The range of the same quantized values after a multiplication by a positive factor."""
        return Range(_round_step_up(self.step * factor), self.zero)

    def moved(self, zero: int) -> Range:
        """The range of the same step with another code for 0.0."""
        return Range(self.step, zero)

    def holds(self, low: float, high: float, slack: float = 0.5) -> bool:
        """Whether [low, high] is inside, up to `slack` LSB."""
        return self.min - slack * self.step <= low and high <= self.max + slack * self.step


def cover(low: float, high: float) -> Range:
    """The smallest range that contains [low, high] and 0, with an integer zero point.

    Args:
        low: smallest value seen.
        high: largest value seen.

    Returns:
        A range at most 1 LSB wider than requested; a constant or all-zero tensor gets a usable one.

    Raises:
        RangeError: the bounds are not finite, or low > high.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise RangeError(f"[{low}, {high}] is not a range")
    low, high = min(low, 0.0), max(high, 0.0)
    width = high - low
    if width == 0.0:
        return Range(STEP_OF_ZERO, 0)
    if width < SMALLEST_STEP * LEVELS:
        return Range(SMALLEST_STEP, 0 if low == 0.0 else LEVELS if high == 0.0 else 128)
    # Rounding the zero point to nearest would cost a side of 1.4 levels four tenths of its range.
    place = -low * LEVELS / width
    return min(
        (_with_zero(low, high, zero) for zero in (math.floor(place), math.ceil(place))),
        key=lambda value_range: value_range.step,
    )


def _with_zero(low: float, high: float, zero: int) -> Range:
    """The smallest range with this zero point, or the next one that leaves both sides a level."""
    # A side that has values needs at least one level, however small it is.
    zero = min(max(zero, 1 if low < 0.0 else 0), LEVELS - 1 if high > 0.0 else LEVELS)
    below = -low / zero if zero else 0.0
    above = high / (LEVELS - zero) if zero < LEVELS else 0.0
    return Range(_round_step_up(max(below, above)), zero)


def ending_near(low: float, high: float) -> Range:
    """The range whose ends are nearest to what is clipped to them: half a level away at most.

    One that contains both ends may end a level beyond one of them, which is much of a small bound.
    """
    found = cover(low, high)
    low, high = min(low, 0.0), max(high, 0.0)
    if low == 0.0 or high == 0.0 or found.step <= SMALLEST_STEP:
        return found
    step = (high - low) / LEVELS
    return Range(_round_step_up(step), round(-low / step))


def run_time_ranges(calibrated: Range) -> tuple[Range, ...]:
    """Ranges in which a tensor may come that the library quantizes over the data of each run.

    Any zero, and any loudness from far below what calibration saw up to ten times that: what is
    computed from such a tensor must be right in all of them.
    """
    zeros = sorted({*RUN_TIME_ZEROS, calibrated.zero})
    return tuple(calibrated.scaled(s).moved(z) for s in RUN_TIME_SCALES for z in zeros)


def symmetric(low: float, high: float, smallest: float = SMALLEST_STEP) -> Range:
    """The smallest range with zero point 128: lossless for weights on v65 and v66.

    Args:
        low: smallest value.
        high: largest value.
        smallest: minimum of the scale.
    """
    bound = max(-low / 128.0, high / 127.0) or STEP_OF_ZERO
    return Range(_round_step_up(max(bound, smallest)), 128)


def _round_step_up(step: float) -> float:
    mantissa, exponent = math.frexp(step)
    return math.ldexp(math.ceil(math.ldexp(mantissa, STEP_BITS)), exponent - STEP_BITS)
