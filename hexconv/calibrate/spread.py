"""A few samples, spread over all, kept while they are drawn one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

MOST = 8
"""Samples that are kept; more than half as many, of so many and more."""


class Spread:
    """Keeps every sample, then every second, every fourth: as many as are not too many.

    Attributes:
        count: samples that were seen.
        kept: copies of some, in their order.
    """

    def __init__(self) -> None:
        self.count = 0
        self.kept: list[Mapping[str, Any]] = []
        self._every = 1

    def watch(self, samples: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The samples, unchanged."""
        for sample in samples:
            if self.count % self._every == 0:
                self.kept.append({name: np.array(array) for name, array in sample.items()})
            if len(self.kept) > MOST:
                self.kept, self._every = self.kept[::2], 2 * self._every
            self.count += 1
            yield sample
