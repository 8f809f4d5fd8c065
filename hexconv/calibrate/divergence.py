"""How far the distribution of values in 256 levels is from that of the values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hexconv.quantize import Range
from hexconv.quantize.ranges import LEVELS

UNSEEN = 0.5
"""Counted for a bin that holds nothing but clipped values: its logarithm has to be finite."""


def divergence(
    values: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], rounded: Range
) -> float:
    """Kullback-Leibler divergence, in nats, of values in 256 levels from the values.

    Values beyond an end belong to the last bin before it; in the quantized distribution the values
    of a level are spread evenly over its bins, and those beyond the ends are missing (S. Migacz,
    8-bit Inference with TensorRT, GTC 2017). As there, the bin beside zero counts no more than its
    neighbors: zero is exact in every range, and half of what a ReLU returns.

    Args:
        values: middles of the bins that are not empty, ascending.
        counts: how many values each of them has.
        rounded: the range of the 256 levels.
    """
    counts = _without_zeros(values, counts)
    levels = np.rint(values / rounded.step) + rounded.zero
    inside = (levels >= 0) & (levels <= LEVELS)
    if not inside.any():
        return np.inf
    first, last = np.flatnonzero(inside)[[0, -1]]
    kept = counts[first : last + 1]
    folded = kept.copy()
    folded[0] += counts[:first].sum()
    folded[-1] += counts[last + 1 :].sum()
    return _between(folded, _by_level(kept, levels[first : last + 1]))


def _without_zeros(
    values: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The counts with that of the bin of zero limited to the larger of its neighbors'."""
    place = min(int(np.searchsorted(values, 0.0)), len(values) - 1)
    around = [*counts[max(place - 1, 0) : place], *counts[place + 1 : place + 2]]
    limited = counts.copy()
    limited[place] = min(limited[place], max(around, default=limited[place]))
    return limited


def _by_level(
    counts: npt.NDArray[np.float64], levels: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The mean count of the bins of each level, for each of its bins."""
    places = (levels - levels[0]).astype(np.intp)
    bins = np.bincount(places)
    return np.asarray((np.bincount(places, counts) / np.maximum(bins, 1))[places])


def _between(found: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Divergence of one distribution from the other, given as counts of the same bins."""
    other = np.maximum(other, UNSEEN)
    ratio = (found / found.sum()) / (other / other.sum())
    seen = found > 0
    return float((found[seen] / found.sum()) @ np.log(ratio[seen]))
