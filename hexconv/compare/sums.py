"""The sums that figures are made of, over one pair of arrays: compiled, or by NumPy."""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum, isfinite
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hexconv import native
from hexconv.native.abi import SUM_LANES

RTOL, ATOL = 1e-3, 1e-4
"""Close means |x - y| <= ATOL + RTOL * |x|: a common criterion in the field."""

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


class PairSums(NamedTuple):
    """Reference x against y.

    Args:
        signal: sum of x * x.
        output: of y * y.
        product: of x * y.
        noise: of (x - y)^2.
        absolute: of |x - y|.
        largest: |x - y|.
        peak: largest |x|.
        close: how many elements are close.
    """

    signal: float
    output: float
    product: float
    noise: float
    absolute: float
    largest: float
    peak: float
    close: int

    @property
    def finite(self) -> bool:
        """Whether all elements of both are: a square of a float32 does not overflow."""
        return isfinite(self.signal) and isfinite(self.output)


def pair_sums(x: npt.ArrayLike, y: npt.ArrayLike) -> PairSums:
    """Sums over two arrays of one shape, not empty, in float64."""
    x, y = np.asarray(x), np.asarray(y)
    passes = native.library()
    if passes is not None and x.dtype == y.dtype == np.float32:
        first, second = np.ascontiguousarray(x), np.ascontiguousarray(y)
        found = passes.compare(first, second, (RTOL, ATOL))
        sums = [_total(lanes) for lanes in found.sums]
        return _of(sums, max(found.largest), max(found.peak), found.close)
    return _by_numpy(x.astype(np.float64).reshape(-1), y.astype(np.float64).reshape(-1))


def _by_numpy(x: Float64, y: Float64) -> PairSums:
    with np.errstate(invalid="ignore", over="ignore"):
        apart, size = np.abs(x - y), np.abs(x)
        terms = (x * x, y * y, x * y, apart * apart, apart)
        sums = [_in_lanes(term) for term in terms]
        close = int(np.count_nonzero(apart <= ATOL + RTOL * size))
    return _of(sums, float(apart.max()), float(size.max()), close)


def _of(sums: list[float], largest: float, peak: float, close: int) -> PairSums:
    signal, output, product, noise, absolute = sums
    return PairSums(signal, output, product, noise, absolute, largest, peak, close)


def _in_lanes(terms: Float64) -> float:
    """The sum, element i added to lane i % 16, as the compiled pass does it."""
    whole = terms.size - terms.size % SUM_LANES
    lanes = np.zeros(SUM_LANES)
    np.add.reduce(terms[:whole].reshape(-1, SUM_LANES), axis=0, out=lanes)
    lanes[: terms.size - whole] += terms[whole:]
    return _total(lanes.tolist())


def _total(lanes: Iterable[float]) -> float:
    found = list(lanes)
    return fsum(found) if all(map(isfinite, found)) else sum(found)
