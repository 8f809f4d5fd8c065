"""A histogram that widens as values arrive, in constant memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hexconv import native
from hexconv.calibrate.divergence import divergence
from hexconv.quantize import Range, cover
from hexconv.quantize.ranges import LEVELS

HALF = 2048
BINS = 2 * HALF
SHARES = (1.0, 0.93, 0.86, 0.8, 0.73, 0.66, 0.58, 0.5, 0.42)
"""Of the minimum and of the maximum, that a range of least error is chosen from."""
FURTHER_SHARES = (*SHARES, 0.36, 0.3, 0.25, 0.2)
"""As `SHARES`, for the least divergence, which clips more."""
DENSE = 16 * (LEVELS + 1)
"""Values, 16 in a level, from which on their distribution is compared with another one."""
NEGATIVE_SHARES = (*SHARES, 0.35, 0.29, 0.24, 0.2, 0.16, 0.12, 0.08)
"""Of the minimum, whose errors a LeakyRelu makes smaller."""
ROUNDS = 2
"""How often the minimum, and after it the maximum, is chosen anew."""
NARROWEST = 2.0**-126
"""Of a bin: its reciprocal is a float32."""
Error = Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64], Range], float]
"""Of values in a range, by how often each occurs."""


class Histogram:
    """Counts over `2 * HALF` equal bins around zero; bins double in width for a value outside.

    Zero is always a bin edge, and doubling merges pairs of bins, so no count is ever split. Values
    on the upper edge itself are counted apart, since they move to another bin than their
    neighbors below when bins double. The result depends neither on the order of values nor on how
    they were distributed over histograms that are merged later. The exact minimum and maximum are
    stored as well.

    Attributes:
        counts: (BINS + 1,) int64; the last is of values on the upper edge.
        width: of a bin, a power of two; 0 while there is nothing but zeros.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS + 1, np.int64)
        self.width = 0.0
        self.low, self.high = np.inf, -np.inf

    def add(self, values: npt.NDArray[Any], ends: tuple[float, float] | None = None) -> None:
        """Count finite float32 values of any shape.

        Args:
            values: to be counted.
            ends: their minimum and maximum, where those are known.
        """
        flat = np.ascontiguousarray(values).reshape(-1)
        low, high = ends if ends is not None else (float(flat.min()), float(flat.max()))
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._reach(_width(max(-low, high)))
        if self.width == 0.0:  # nothing but zeros so far
            self.counts[HALF] += flat.size
            return
        self._count(flat)

    def _count(self, flat: npt.NDArray[np.float32]) -> None:
        passes = native.library()
        if passes is not None:
            passes.histogram(flat, 1.0 / self.width, HALF, self.counts)
            return
        start = time.perf_counter()
        self.counts += _counted(flat, 1.0 / self.width)
        native.spent(time.perf_counter() - start)

    def __getstate__(self) -> dict[str, Any]:
        """For other processes: counts as small as they can be."""
        largest = np.min_scalar_type(int(self.counts.max()))
        return {**self.__dict__, "counts": self.counts.astype(largest)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.counts = self.counts.astype(np.int64)

    def merge(self, other: Histogram) -> None:
        """Add another histogram's counts, which may be widened by that."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self._reach(other.width)
        other._reach(self.width)
        self.counts += other.counts

    def _reach(self, wanted: float) -> None:
        """Make the bins at least `wanted` wide; widths are powers of two."""
        if self.width == 0.0:
            self.width = wanted
            return
        while self.width < wanted:
            edge = self.counts[BINS]
            pairs = self.counts[:BINS].reshape(-1, 2).sum(axis=1)
            self.counts[:] = 0
            self.counts[HALF // 2 : HALF + HALF // 2] = pairs
            self.counts[HALF + HALF // 2] += edge
            self.width *= 2

    def least_error(self) -> tuple[float, float]:
        """The range whose 255 steps have the least squared error, its ends narrowed apart.

        Each value counts as the middle of its bin; there are at least 4 bins in a step.
        """
        return self._least(_squared_error, SHARES)

    def behind_slope(self, slope: float, *, narrowed: bool) -> tuple[float, float]:
        """The range of the least squared error behind a LeakyRelu, which is rounded as well.

        Args:
            slope: of negative values, from 0 to 1.
            narrowed: whether the positive end may be narrowed too.
        """
        error = partial(_error_behind, slope)
        return self._least(error, NEGATIVE_SHARES, SHARES if narrowed else (1.0,))

    def least_divergence(self) -> tuple[float, float]:
        """The range whose 256 levels have the least Kullback-Leibler divergence from the values.

        Both ends are narrowed apart, as in `least_error`. Of fewer than `DENSE` values, whose
        distribution is not known, the range is all that was seen.
        """
        if self.counts.sum() < DENSE:
            return self.low, self.high
        return self._least(divergence, FURTHER_SHARES)

    def _least(
        self, error: Error, shares: Sequence[float], high_shares: Sequence[float] | None = None
    ) -> tuple[float, float]:
        counts = self.counts[:BINS].copy()
        counts[-1] += self.counts[BINS]
        places = np.flatnonzero(counts)
        if not places.size or self.width == 0.0:
            return self.low, self.high
        values = np.asarray((places - HALF + 0.5) * self.width, np.float64)
        weights = counts[places].astype(np.float64)
        lows = [min(self.low * share, self.high) for share in shares if self.low < 0.0]
        positive = high_shares or shares
        highs = [max(self.high * share, self.low) for share in positive if self.high > 0.0]
        low, high = self.low, self.high
        found = cache(lambda low, high: error(values, weights, cover(low, high)))
        for _ in range(ROUNDS):
            low = min(lows or [low], key=lambda end: found(end, high))
            high = min(highs or [high], key=lambda end: found(low, end))
        return low, high

    def bounds(self, percentile: float) -> tuple[float, float]:
        """The range without (100 - percentile) % of the values at either end.

        Linear within a bin, and never outside what was seen.
        """
        counts = self.counts[:BINS].copy()
        counts[-1] += self.counts[BINS]
        total = int(counts.sum())
        if total == 0 or self.width == 0.0:
            return self.low, self.high
        cumulative = np.cumsum(counts)
        exclude = total * (100.0 - percentile) / 100.0
        low, high = (
            _quantile(cumulative, rank) * self.width for rank in (exclude, total - exclude)
        )
        return (max(min(low, self.high), self.low), min(max(high, self.low), self.high))


def _width(largest: float) -> float:
    """The bins that reach +-largest; 0 if that is 0."""
    if largest == 0.0:
        return 0.0
    return max(float(2.0 ** np.ceil(np.log2(largest / HALF))), NARROWEST)


def _squared_error(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], rounded: Range
) -> float:
    """Sum of the squared errors of values in 256 levels, each times its weight."""
    levels = np.clip(np.rint(values / rounded.step), -rounded.zero, LEVELS - rounded.zero)
    errors: npt.NDArray[np.float64] = levels * rounded.step - values
    return float(weights @ (errors * errors))


def _error_behind(
    slope: float,
    values: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    rounded: Range,
) -> float:
    """Sum of the squared errors behind a LeakyRelu, whose result has 256 levels of its own."""
    counted = weights * np.where(values < 0.0, slope * slope, 1.0)
    result = (rounded.max - slope * rounded.min) / LEVELS
    return _squared_error(values, counted, rounded) + float(weights.sum()) * result**2 / 12.0


def _counted(flat: npt.NDArray[np.float32], scale: float) -> npt.NDArray[np.int64]:
    """Counts of values by bin, (BINS + 1,)."""
    place = flat * np.float32(scale)
    np.floor(place, out=place)
    place -= (place == 0.0) & (flat < 0.0)  # products too small for a float32
    place += np.float32(HALF)
    return np.bincount(place.astype(np.intp), minlength=BINS + 1)


def _quantile(cumulative: npt.NDArray[np.int64], rank: float) -> float:
    """The place below which `rank` values are, in bins from zero."""
    bin_ = min(int(np.searchsorted(cumulative, rank, side="left")), BINS - 1)
    before = int(cumulative[bin_ - 1]) if bin_ else 0
    inside = max(int(cumulative[bin_]) - before, 1)
    return bin_ - HALF + (rank - before) / inside
