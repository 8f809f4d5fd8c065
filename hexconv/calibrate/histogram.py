"""A histogram that widens as values arrive, in constant memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

HALF = 2048


class Histogram:
    """Counts over `2 * HALF` equal bins around zero; bins double in width for a value outside.

    Zero is always a bin edge, and doubling merges pairs of bins, so no count is ever split: the
    result does not depend on the order of values. The exact minimum and maximum are stored as well.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(2 * HALF, np.int64)
        self.width = 0.0
        self.low, self.high = np.inf, -np.inf

    def add(self, values: npt.NDArray[Any]) -> None:
        """Count float32 values of any shape."""
        flat = values.reshape(-1)
        low, high = float(flat.min()), float(flat.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._reach(max(-low, high))
        if self.width == 0.0:  # nothing but zeros so far
            self.counts[HALF] += flat.size
            return
        place = flat * np.float32(1.0 / self.width)
        np.floor(place, out=place)
        place += np.float32(HALF)
        counted = np.bincount(place.astype(np.intp), minlength=2 * HALF)
        counted[2 * HALF - 1] += counted[2 * HALF :].sum()  # the outermost edge itself
        self.counts += counted[: 2 * HALF]

    def _reach(self, largest: float) -> None:
        """Make the bins wide enough for +-largest; widths are powers of two."""
        if largest == 0.0:
            return
        wanted = 2.0 ** np.ceil(np.log2(largest / HALF))
        if self.width == 0.0:
            self.width = wanted
            return
        while self.width < wanted:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts[:] = 0
            self.counts[HALF // 2 : HALF + HALF // 2] = pairs
            self.width *= 2

    def bounds(self, percentile: float) -> tuple[float, float]:
        """The range without (100 - percentile) % of the values at either end.

        Linear within a bin, and never outside what was seen.
        """
        total = int(self.counts.sum())
        if total == 0 or self.width == 0.0:
            return self.low, self.high
        cumulative = np.cumsum(self.counts)
        exclude = total * (100.0 - percentile) / 100.0
        low = self._quantile(cumulative, exclude)
        high = self._quantile(cumulative, total - exclude)
        return (max(min(low, self.high), self.low), min(max(high, self.low), self.high))

    def _quantile(self, cumulative: npt.NDArray[np.int64], rank: float) -> float:
        """The value below which `rank` values are."""
        bin_ = min(int(np.searchsorted(cumulative, rank, side="left")), 2 * HALF - 1)
        before = int(cumulative[bin_ - 1]) if bin_ else 0
        inside = max(int(self.counts[bin_]), 1)
        return (bin_ - HALF + (rank - before) / inside) * self.width
