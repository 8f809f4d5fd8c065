"""Raw tensors of the library to floats and back, and how well a range fits its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hexconv import native
from hexconv.arrays import Array
from hexconv.compare.exact_sum import ExactSums
from hexconv.compare.metrics import EXACT, decibels, inner

CODES = 256
BINS = 64
"""Of a histogram: a quarter of the quantized values."""
STEPS = {"uint8": 255.0, "int16": 65536.0, "uint16": 65536.0, "int32": 2.0**32}
"""Levels between min and max by integer type (docs/nnlib/quirks.md#conventions)."""
MOST = 0.99
"""The share of elements that `RangeFit.used` has to cover."""
SLACK = 0.5
"""LSB beyond the range from which on an element counts as clipped: rounding is not clipping."""


@dataclass(frozen=True)
class Scale:
    """Quantization parameters: value = (code - zero) * step, for integers of type `dtype`."""

    step: float
    zero: float
    dtype: str

    @classmethod
    def of(cls, outputs: Sequence[Array]) -> Scale | None:
        """The scale of a node's raw outputs (data, min, max); None for floats.

        A node that returns only data (the comparisons) returns 0 and 1.
        """
        dtype = outputs[0].dtype
        if dtype.kind not in "iu":
            return None
        if len(outputs) < 3:
            return cls(1.0, 0.0, dtype.name)
        return _between(dtype, outputs[1].item(), outputs[2].item())

    def values(self, codes: Array) -> npt.NDArray[np.float32]:
        """Quantized values to float32."""
        passes = native.library()
        if passes is not None and codes.dtype == np.uint8 and codes.size > CODES:
            return passes.dequantize(self.values(np.arange(CODES, dtype=np.uint8)), codes)
        return ((codes.astype(np.float64) - self.zero) * self.step).astype(np.float32)

    def codes(self, values: npt.ArrayLike) -> Array:
        """Floats to the nearest quantized values."""
        info = np.iinfo(self.dtype)
        scaled = np.rint(np.asarray(values, np.float64) / self.step + self.zero)
        return np.clip(scaled, info.min, info.max).astype(self.dtype)


@lru_cache(maxsize=4096)
def _between(dtype: np.dtype[Any], low: float, high: float) -> Scale | None:
    """The scale from min to max; None for a type without one."""
    name = dtype.name
    if name not in STEPS:
        return None
    step = max(high - low, 1e-18) / STEPS[name]
    if dtype.kind == "i":
        return Scale(step, 0.0, name)
    return Scale(step, float(np.rint(-low / step)), name)


def values_of(outputs: Sequence[Array]) -> npt.NDArray[np.float32]:
    """A node's data output as floats, by its own min and max."""
    scale = Scale.of(outputs)
    return outputs[0].astype(np.float32) if scale is None else scale.values(outputs[0])


@dataclass(frozen=True)
class RangeFit:
    """How well a uint8 range fits the float values that it has to represent.

    Attributes:
        low, high: the range (that of the last sample, where each run computes its own).
        best: SQNR of the nearest quantized values in this range, dB: an upper bound for any kernel.
        clipped: share of elements outside the range.
        clip_noise: their share of that quantization's noise.
        used: levels that cover 99 % of the elements, of 256.
        histogram: elements in 64 equal parts of the range, by their nearest quantized value.
    """

    low: float
    high: float
    best: float
    clipped: float
    clip_noise: float
    used: int
    histogram: tuple[int, ...] = ()


class FitSums(NamedTuple):
    """How far floats are from their nearest codes.

    Args:
        signal: sum of squares of the floats.
        noise: of what their nearest codes are off.
        clip_noise: of that, outside the range.
        clipped: how many are outside.
        counts: (256,) int64, by nearest code.
    """

    signal: float
    noise: float
    clip_noise: float
    clipped: int
    counts: npt.NDArray[np.int64]


def fit_sums(expected: npt.ArrayLike, codes: Array, scale: Scale) -> FitSums:
    """Sums over floats and their nearest uint8 values."""
    x = np.asarray(expected, np.float64)
    apart = x - (codes.astype(np.float64) - scale.zero) * scale.step
    outside = apart[np.abs(apart) > (0.5 + SLACK) * scale.step]
    counts = np.bincount(codes.reshape(-1), minlength=CODES).astype(np.int64)
    return FitSums(inner(x, x), inner(apart, apart), inner(outside, outside), outside.size, counts)


class RangeTotals:
    """Accumulates `RangeFit` over samples.

    Attributes:
        number: of the next sample.
    """

    def __init__(self) -> None:
        self.number = 0
        self._counts = np.zeros(CODES, np.int64)
        self._sums = ExactSums(3)
        self._clipped = 0
        self._bounds = (0.0, 0.0)
        self._last = -1

    def add(self, sums: FitSums, scale: Scale) -> None:
        """Add one sample."""
        self._bounds = (-scale.zero * scale.step, (CODES - 1 - scale.zero) * scale.step)
        self._last = self.number
        self.number += 1
        self._counts += sums.counts
        self._sums.add(sums[:3])
        self._clipped += sums.clipped

    def merge(self, other: RangeTotals) -> None:
        """Add what another one has accumulated of the same tensor."""
        if other._last > self._last:
            self._bounds, self._last = other._bounds, other._last
        self._counts += other._counts
        self._sums.merge(other._sums)
        self._clipped += other._clipped

    def result(self) -> RangeFit | None:
        """None before the first sample."""
        elements = int(self._counts.sum())
        if not elements:
            return None
        shares = np.cumsum(np.sort(self._counts)[::-1]) / elements
        signal, noise, clip_noise = self._sums.rounded()
        return RangeFit(
            low=self._bounds[0],
            high=self._bounds[1],
            best=decibels(signal, noise) if noise else EXACT,
            clipped=self._clipped / elements,
            clip_noise=clip_noise / noise if noise else 0.0,
            used=int(np.searchsorted(shares, MOST)) + 1,
            histogram=tuple(self._counts.reshape(BINS, -1).sum(axis=1).tolist()),
        )
