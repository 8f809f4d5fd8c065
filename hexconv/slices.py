"""An output that a graph returns in slices of its range, and how to put it together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

import numpy as np

from hexconv.arrays import Array


@dataclass(frozen=True)
class Slices:
    """Slices of an output, behind each other along its channels.

    A value is `ends[0]` and the sum of what its slices hold: slice k what it exceeds `ends[k]` by,
    at most up to `ends[k + 1]`.

    Attributes:
        ends: of the slices, rising: one more than there are slices.
        axis: of the output, that has its channels.
    """

    ends: tuple[float, ...]
    axis: int

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in pairwise(self.ends))
        if len(self.ends) < 3 or not rising or not all(map(isfinite, self.ends)):
            raise ValueError(f"slices with the ends {self.ends}")

    @property
    def count(self) -> int:
        """How many slices."""
        return len(self.ends) - 1

    def spread(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape that the slices of an output of a shape have."""
        sizes = list(shape)
        sizes[self.axis] *= self.count
        return tuple(sizes)

    def joined(self, slices: Array) -> Array:
        """The output, float32.

        Args:
            slices: as the graph returns them.
        """
        parts = np.split(slices, self.count, axis=self.axis)
        total = np.asarray(parts[0], np.float32)
        for part in parts[1:]:
            total = total + part
        return np.asarray(total + np.float32(self.ends[0]))
