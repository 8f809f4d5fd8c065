"""Which samples a model was calibrated on: how many, from where, and a checksum of their values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hexconv.calibrate.images import Images


@dataclass(frozen=True)
class SampleSet:
    """Samples that were read to their end.

    Attributes:
        source: the path or paths, as they were given; empty for arrays of the caller's.
        count: how many.
        sha256: of all values in order, inputs by name: float32, little-endian, with their shapes.
            The same for the same numbers, whatever files held them.
    """

    source: str
    count: int
    sha256: str


class SampleDigest:
    """Counts samples, and computes their checksum while they are read."""

    def __init__(self, source: object) -> None:
        self._source, self._count, self._sum = _shown(source), 0, hashlib.sha256()

    def watch(self, samples: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The samples, unchanged."""
        for sample in samples:
            for name in sorted(sample):
                array = np.ascontiguousarray(sample[name], "<f4")
                self._sum.update(f"{name} {array.shape}\n".encode())
                self._sum.update(array.data)
            self._count += 1
            yield sample

    def result(self) -> SampleSet | None:
        """What was read; None if nothing was."""
        if not self._count:
            return None
        return SampleSet(self._source, self._count, self._sum.hexdigest())


def _shown(source: object) -> str:
    """Paths as they were given."""
    if isinstance(source, (Images, str, Path)):
        return str(source)
    if isinstance(source, Mapping):
        return ", ".join(f"{name}={path}" for name, path in source.items())
    if isinstance(source, Sequence) and all(isinstance(item, str) for item in source):
        return ", ".join(source)
    return ""
