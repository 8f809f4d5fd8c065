"""Channels of a tensor that are given several times, and weights that read such a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.calibrate.channel_groups import Floats
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.quantize.ranges import LEVELS

COPIES = 32
"""Channels more: the library computes 32 at a time."""
APPENDED = "/copies"
"""Name of copies that are appended, behind that of what has none."""
TURNS = 3
"""Orders of what copies are moved by."""
SMALL = 0.25
"""Parts of rows below this share of an output's largest weight are apart: 32 levels and fewer."""
GOLDEN = 0.5 * (5.0**0.5 - 1.0)
"""Multiples of it, less what is whole, are far from any even order."""


@dataclass(frozen=True, eq=False)
class CopiedColumns:
    """Which channels the columns of a tensor with copies are.

    Attributes:
        counts: (channels,) how often each is there.
    """

    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, sizes: Floats) -> CopiedColumns:
        """Copies in proportion to sizes, (channels,); none of channels of size 0."""
        counts = np.ones(sizes.size, np.int64)
        for _ in range(COPIES):
            counts[np.argmax(sizes / counts)] += 1
        return cls(counts)

    @cached_property
    def channels(self) -> npt.NDArray[np.int64]:
        """(columns,) all channels, then the copies."""
        numbers = np.arange(self.counts.size)
        return np.concatenate([numbers, np.repeat(numbers, self.counts - 1)])

    def places(self, turned: int = 0) -> Floats:
        """(columns,) 0 of each channel, between -0.5 and 0.5, evenly, of its copies.

        Args:
            turned: number of another order.
        """
        places = np.zeros(self.channels.size)
        for channel in np.flatnonzero(self.counts > 1):
            count = int(self.counts[channel]) - 1
            evenly = (np.arange(count) + 0.5) / count - 0.5
            places[self._of_copies(channel)] = np.roll(evenly, turned * count // TURNS)
        return places

    def _of_copies(self, channel: np.signedinteger[Any]) -> npt.NDArray[np.intp]:
        size = self.counts.size
        return size + np.flatnonzero(self.channels[size:] == channel)

    def read(self, weights: Floats) -> npt.NDArray[np.float32]:
        """Rows of weights (channels, outputs), split over the copies.

        The parts of a row may be a few steps of its output's weights. They are apart by less than
        one, so that each is rounded otherwise, and their sum as precisely as the row alone.
        """
        parts = (weights / self.counts[:, None])[self.channels]
        sizes = np.abs(parts)
        largest = sizes.max(axis=0, initial=0.0)
        small = (sizes > 0.0) & (sizes < SMALL * largest)
        apart = np.where(small, self._apart[:, None] * (2.0 / LEVELS * largest), 0.0)
        return np.asarray(parts + apart, np.float32)

    def written(self, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Columns of weights (inputs, channels), those of copies apart by less than a step.

        Each is rounded otherwise, and their mean is as precise as many levels more. What they are
        apart by adds up to 0 over the copies of a channel; the channel itself has its weights.
        """
        found = self.repeated(weights).astype(np.float64)
        steps = 2.0 / LEVELS * np.abs(found).max(axis=0, initial=0.0)
        for channel in np.flatnonzero(self.counts > 1):
            copies = self._of_copies(channel)
            turned = np.arange(copies.size) + np.arange(len(weights))[:, None]
            evenly = (turned % copies.size + 0.5) / copies.size - 0.5
            rest = _beside([np.ones(copies.size), self._apart[copies]], evenly.T)
            found[:, copies] += rest.T * steps[copies]
        return np.asarray(found, np.float32)

    @cached_property
    def _apart(self) -> Floats:
        """(columns,) about -0.5 to 0.5, evenly, of a channel and its copies; 0 of single ones.

        In an order in which what copies are moved by adds up to 0 weighed by it, too.
        """
        found = np.zeros(self.channels.size)
        for channel in np.flatnonzero(self.counts > 1):
            count, own = int(self.counts[channel]), self.channels == channel
            order = np.argsort(np.arange(count) * GOLDEN % 1.0)
            evenly = (order + 0.5) / count - 0.5
            moves = [np.ones(count), *(self.places(turned)[own] for turned in range(TURNS))]
            found[own] = _beside(moves, evenly)
        return found

    def read_first(self, weights: Floats) -> npt.NDArray[np.float32]:
        """The same of what is no sum of the copies' share, such as squares: copies have none."""
        copies = np.zeros((self.channels.size - len(weights), weights.shape[1]))
        return np.asarray(np.concatenate([weights, copies]), np.float32)

    def repeated(self, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A constant whose last axis are the channels, with the copies."""
        return np.ascontiguousarray(array[..., self.channels])

    def appended(self, value: ir.Value, builder: FloatBuilder, suffix: str) -> ir.Value:
        """A tensor with the copies behind its channels, which are on the last axis.

        Args:
            value: without copies.
            builder: at the first node that will read it.
            suffix: of its name.
        """
        size = self.counts.size
        chosen = np.eye(size, dtype=np.float32)[:, self.channels[size:]]
        copies = builder.op("MatMul", [value, chosen], name=f"{value.name}{APPENDED}")
        axis = {"axis": len(shape_of(value)) - 1}
        return builder.op("Concat", [value, copies], axis, name=f"{value.name}{suffix}")


def _beside(vectors: Sequence[Floats], values: Floats) -> Floats:
    """(columns, ...) values without what of them is a sum of multiples of vectors, (columns,)."""
    basis = np.stack(vectors, axis=1)
    return np.asarray(values - basis @ np.linalg.lstsq(basis, values, rcond=None)[0])
