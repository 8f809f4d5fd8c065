"""How far outputs are from a reference: figures that accumulate over any number of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.compare.exact_sum import ExactSums
from hexconv.compare.sums import PairSums, pair_sums
from hexconv.errors import ModelError

EXACT = 200.0
"""SQNR in dB that represents no difference at all, and negated for noise without any signal:
JSON has no infinity."""
FloatArray = npt.NDArray[np.float64]
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Metrics:
    """Reference x against output y, over all elements of all samples.

    Attributes:
        sqnr: signal to quantization noise, 10 log10(sum x^2 / sum (x - y)^2), dB, within +-200.
        cosine: sum xy / sqrt(sum x^2 sum y^2); 1 if both are zero, 0 if one is.
        max_error: largest |x - y|.
        mean_error: mean of |x - y|.
        close: share of elements with |x - y| <= 1e-4 + 1e-3 |x|.
        top1: share of rows along the last axis whose largest element is at the same index; None
            where elements are no class scores.
        peak: largest |x|, the reference for the errors.
        samples: how many were compared.
        centered: SQNR of the signal without its mean, 10 log10(sum (x - mean x)^2 / sum (x - y)^2):
            where the mean dominates, it tells how well the rest is kept; None of inner tensors.
    """

    sqnr: float
    cosine: float
    max_error: float
    mean_error: float
    close: float
    top1: float | None
    peak: float
    samples: int
    centered: float | None = None

    @property
    def mean_dominates(self) -> bool:
        """Whether the mean is most of the signal's power."""
        return self.centered is not None and self.sqnr - self.centered > MEAN_DOMINATES

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


MEAN_DOMINATES = 3.0
"""dB by which an SQNR exceeds that without the mean, where this is more than half of the power."""
FLOORS = ("sqnr", "cosine", "close", "top1")
"""Figures where more is better: those that can have a minimum."""


class Totals:
    """Accumulates samples; its size does not depend on their number, its result not on their order.

    Args:
        what: the tensor, as named in errors.
        classes: whether the last axis contains class scores.

    Attributes:
        number: of the next sample, for errors.
    """

    def __init__(self, what: str, *, classes: bool = False) -> None:
        self._what, self._classes, self.number = what, classes, 0
        self._sums = ExactSums(len(SUMS))
        self._plain, self._has_mean = ExactSums(1), False
        self._largest = self._peak = 0.0
        self._elements = self._close = self._rows = self._agree = self._samples = 0

    def add(self, expected: npt.ArrayLike, returned: npt.ArrayLike) -> None:
        """One sample.

        Raises:
            ModelError: the reference, or the output, contains NaN or infinity.
        """
        x, y = np.asarray(expected), np.asarray(returned)
        self._check_shapes(x, y)
        if not x.size:
            self._samples += 1
            self.number += 1
            return
        sums = pair_sums(x, y)
        if not sums.finite:
            self._raise_not_finite(x, y)
        self.add_sums(sums, x.size)
        self._plain.add((float(x.sum(dtype=np.float64)),))
        self._has_mean = True
        if self._classes:
            agree = x.argmax(-1) == y.argmax(-1)
            self._rows += agree.size
            self._agree += int(np.count_nonzero(agree))

    def add_sums(self, sums: PairSums, elements: int) -> None:
        """One sample, of which the sums are known and finite."""
        self._samples += 1
        self.number += 1
        self._sums.add(sums[: len(SUMS)])
        self._largest = max(self._largest, sums.largest)
        self._peak = max(self._peak, sums.peak)
        self._elements += elements
        self._close += sums.close

    def _check_shapes(self, x: Array, y: Array) -> None:
        if x.shape != y.shape:
            raise ModelError(
                f"'{self._what}' has shape {list(x.shape)} in the float model and "
                f"{list(y.shape)} in the other",
                hint="give the ONNX file that this model was converted from",
            )

    def _raise_not_finite(self, x: Array, y: Array) -> None:
        for side, array in (("the float model returns", x), ("the quantized model returns", y)):
            if not np.isfinite(array).all():
                bad = "NaN" if np.isnan(array).any() else "infinity"
                raise ModelError(
                    f"{side} {bad} in '{self._what}'",
                    where=f"sample {self.number}",
                    hint="leave this sample out, or find out why the model overflows on it",
                )

    def merge(self, other: Totals) -> None:
        """Add what another one has accumulated of the same tensor."""
        self._sums.merge(other._sums)
        self._plain.merge(other._plain)
        self._has_mean |= other._has_mean
        self._largest = max(self._largest, other._largest)
        self._peak = max(self._peak, other._peak)
        self._elements += other._elements
        self._close += other._close
        self._rows += other._rows
        self._agree += other._agree
        self._samples += other._samples

    def result(self) -> Metrics | None:
        """The figures; None before the first sample."""
        if not self._samples:
            return None
        elements = max(self._elements, 1)
        sums = dict(zip(SUMS, self._sums.rounded(), strict=True))
        return Metrics(
            sqnr=decibels(sums["signal"], sums["noise"]),
            cosine=_cosine(sums),
            max_error=self._largest,
            mean_error=sums["absolute"] / elements,
            close=self._close / elements if self._elements else 1.0,
            top1=self._agree / self._rows if self._rows else None,
            peak=self._peak,
            samples=self._samples,
            centered=self._centered(sums) if self._has_mean else None,
        )

    def _centered(self, sums: Mapping[str, float]) -> float:
        mean = self._plain.rounded()[0] / self._elements
        rest = sums["signal"] - self._elements * mean * mean
        # What float64 leaves of a signal that is its mean alone is no signal.
        return decibels(rest if rest > 1e-12 * sums["signal"] else 0.0, sums["noise"])


SUMS = PairSums._fields[:5]
"""Of x * x, y * y, x * y, (x - y)^2 and |x - y|."""


def _cosine(sums: Mapping[str, float]) -> float:
    if sums["signal"] == 0.0 or sums["output"] == 0.0:
        return 1.0 if sums["signal"] == sums["output"] else 0.0
    lengths = math.sqrt(sums["signal"]) * math.sqrt(sums["output"])
    return max(-1.0, min(1.0, sums["product"] / lengths))


def inner(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Sum of products. Not BLAS: on a busy machine its threads wait for each other."""
    return float((x * y).sum())


def relative_noise(wanted: Mapping[str, Array], found: Mapping[str, Array]) -> float:
    """The mean of `noise_of_outputs`."""
    return float(np.mean(noise_of_outputs(wanted, found)))


def noise_of_outputs(wanted: Mapping[str, Array], found: Mapping[str, Array]) -> FloatArray:
    """Noise over signal of each output that was found, as powers: (outputs,).

    Args:
        wanted: by name; others may be among them.
        found: by name.
    """
    ratios = []
    for name, expected in wanted.items():
        if name in found:
            x = expected.astype(np.float64)
            ratios.append(float(((found[name] - x) ** 2).sum()) / max(float((x * x).sum()), TINY))
    return np.array(ratios, np.float64)


def decibels(signal: float, noise: float) -> float:
    """10 log10(signal / noise) within +-EXACT; no noise is EXACT, no signal but noise -EXACT."""
    if noise == 0.0:
        return EXACT
    if signal == 0.0:
        return -EXACT
    return max(-EXACT, min(EXACT, 10.0 * (math.log10(signal) - math.log10(noise))))


def below(metrics: Metrics, floors: Mapping[str, float]) -> list[str]:
    """The figures below their minimum, as text; `floors` of other figures do not count."""
    found = ((name, getattr(metrics, name, None), floor) for name, floor in floors.items())
    return [
        f"{name} {value:.4g} is below {floor:g}"
        for name, value, floor in found
        if value is not None and value < floor
    ]
