"""Samples that tell nothing of real use: silent, constant, tiny, all the same, one far too loud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hexconv.arrays import Array
from hexconv.names import listed
from hexconv.quantize import Bounds

TINY = 1e-6
"""Below it an input that is not silent has lost its unit, or its recording."""
LOUDER, FEWEST = 1000.0, 3
"""How far above the median the loudest sample is damaged rather than loud, of how many at least:
the others have a quarter of a level."""
REMEDY = (
    "The model will run, but its accuracy is meaningless at other levels. Give --samples from real "
    "use; of a state, the values that it takes later in the stream."
)


class Doubts:
    """What is doubtful about samples, seen while they are read."""

    def __init__(self) -> None:
        self.count, self._first = 0, {}
        self._varying: set[str] = set()
        self._peaks: dict[str, list[float]] = {}

    _first: Mapping[str, Array]

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the inputs that samples were seen of."""
        return list(self._peaks)

    def watch(self, samples: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The samples, unchanged."""
        for sample in samples:
            if not self.count:
                self._first = {name: np.array(array) for name, array in sample.items()}
            self._varying.update(
                name
                for name, array in sample.items()
                if name not in self._varying and not np.array_equal(array, self._first[name])
            )
            self.count += 1
            for name, array in sample.items():
                self._peaks.setdefault(name, []).append(_peak(np.asarray(array)))
            yield sample

    @property
    def silent(self) -> list[str]:
        """Names of the inputs that are zero, or below 1e-6, in all samples that were seen."""
        return [name for name, peaks in self._peaks.items() if max(peaks) < TINY]

    def warning(self, ranges: Mapping[str, Bounds]) -> str | None:
        """One warning that names each input in doubt, and why; None where there is none.

        Args:
            ranges: (min, max) of each input over all samples.
        """
        found: dict[str, list[str]] = {}
        for name, bounds in ranges.items():
            why = _doubt(*bounds) or _outlier(self._peaks.get(name, ())) or self._same(name)
            if why is not None:
                found.setdefault(why, []).append(name)
        texts = [f"of {listed(names)}: {why}" for why, names in found.items()]
        if not texts and self.count > 1 and not self._varying:
            texts = [f"of {listed(list(ranges))}: all {self.count} samples are the same"]
        return f"THE SAMPLES {'; '.join(texts)}. {REMEDY}" if texts else None

    def _same(self, name: str) -> str | None:
        """Why an input is in doubt that has the same values in every sample, where others vary.

        Whole numbers are not: masks, positions and lengths are often the same by design.
        """
        first = self._first.get(name)
        if first is None or name in self._varying or not self._varying or self.count < 2:
            return None
        if bool((first == np.rint(first)).all()):
            return None
        return (
            f"the same values in all {self.count} samples, while other inputs vary (bind what "
            "never changes: --constant NAME=FILE.npy)"
        )


def _doubt(low: float, high: float) -> str | None:
    if low == high:
        return "all zero" if low == 0.0 else f"the one number {low:.6g}"
    if max(-low, high) < TINY:
        return f"they never leave [{low:.3g}, {high:.3g}]"
    return None


def _peak(array: Array) -> float:
    """The largest number without its sign; 0 of what is no float."""
    if array.dtype.kind != "f" or not array.size:
        return 0.0
    return max(float(array.max()), -float(array.min()))


def _outlier(peaks: Sequence[float]) -> str | None:
    if len(peaks) < FEWEST:
        return None
    usual, loudest = float(np.median(peaks)), max(peaks)
    if usual < TINY or loudest <= LOUDER * usual:
        return None
    number = peaks.index(loudest) + 1
    return f"sample {number} reaches {loudest:.3g}, most of them {usual:.3g}"
