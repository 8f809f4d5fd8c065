"""Samples that a conversion reads more than once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hexconv.calibrate.images import Images
from hexconv.calibrate.samples import SampleSource


class KeptSamples:
    """Samples that can be iterated again: a path is read again, of others a few are kept."""

    def __init__(self, samples: SampleSource | None, count: int = 4) -> None:
        self._first: list[Mapping[str, Any]] = []
        self._count = count
        again = samples is None or isinstance(samples, (Images, str, Path, Mapping, Sequence))
        self.named = samples if again else None
        self.source = samples if again else self._watched(cast("Iterable[Any]", samples))

    def _watched(self, samples: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for sample in samples:
            if len(self._first) < self._count:
                self._first.append(sample)
            yield sample

    def whole(self) -> KeptSamples:
        """The same samples, where all of them can be iterated again."""
        if self.named is not None or self.source is None:
            return self
        return KeptSamples(list(cast("Iterable[Any]", self.source)))

    def again(self) -> SampleSource | None:
        """The samples and settings for measuring a candidate's accuracy."""
        return self.named if self.named is not None or not self._first else self._first
