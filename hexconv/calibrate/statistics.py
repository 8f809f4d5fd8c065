"""What calibration has seen so far: a few numbers for each tensor, which merge exactly.

Statistics over parts of the samples, merged in any order, are those over all samples, bit for bit:
minima and maxima are, and a `Histogram` is. So samples can be distributed over threads, processes
and machines.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.calibrate.derive import Derived
from hexconv.calibrate.histogram import Histogram
from hexconv.errors import RangeError
from hexconv.quantize import Bounds
from hexconv.quantize.fixed_ranges import at_least
from hexconv.settings import Observer

Ranges = dict[str, Bounds]


@dataclass(frozen=True)
class Watched:
    """Which values of a model are observed, and how the ranges of the others follow.

    Args:
        shapes: of the model's inputs.
        values: names of all float values of inputs and nodes, in the order of the graph.
        known: ranges of initializers.
        derived: how ranges follow from those of earlier values.
        optional: values that get no range where they are not finite; of others that is an error.
        slopes: by value that only LeakyRelus read, their largest slope below zero.
        least: by value, the width of its range from which on the library has an op for it.
    """

    shapes: Mapping[str, tuple[int, ...]]
    values: tuple[str, ...]
    known: Mapping[str, Bounds]
    derived: Mapping[str, Derived]
    optional: Set[str] = frozenset()
    slopes: Mapping[str, float] = field(default_factory=dict)
    least: Mapping[str, float] = field(default_factory=dict)

    @property
    def observed(self) -> list[str]:
        """Values whose range does not follow from another's."""
        return [name for name in self.values if name not in self.derived]

    def only(self, names: Collection[str]) -> Watched:
        """The same, of some values, and of what their ranges follow from."""
        wanted = set(names)
        for name in reversed(self.values):
            if name in wanted and name in self.derived:
                wanted.add(self.derived[name].source)
        return replace(self, values=tuple(name for name in self.values if name in wanted))

    def ranges(self, measured: Mapping[str, Bounds]) -> Ranges:
        """Every range in the order of the graph; derived ones follow what they derive from."""
        ranges = dict(self.known)
        for name in self.values:
            source = self.derived.get(name)
            if source is None:
                bounds = measured[name]
            elif name in self.optional and source.source not in ranges:
                continue
            else:
                bounds = source.bounds(ranges[source.source])
            if name not in self.optional or np.isfinite(bounds).all():
                ranges[name] = bounds
        return ranges


@dataclass
class Statistics:
    """Minima and maxima of the observed values, and their histograms unless for "minmax".

    Args:
        watched: of which model.
        observer: how ranges will be made.
        samples: how many were added.
    """

    watched: Watched
    observer: Observer = "minmax"
    samples: int = 0
    low: npt.NDArray[np.float32] = field(init=False)
    high: npt.NDArray[np.float32] = field(init=False)
    histograms: list[Histogram] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.watched.observed)
        self.low = np.full(count, np.inf, np.float32)
        self.high = np.full(count, -np.inf, np.float32)
        self.histograms = [Histogram() for _ in range(count if self.observer != "minmax" else 0)]

    def add(self, arrays: Sequence[Array], ends: Array) -> None:
        """One sample.

        Args:
            arrays: the observed values.
            ends: their minima and maxima, float32 (2, values).
        """
        self.samples += 1
        np.minimum(self.low, ends[0], out=self.low)
        np.maximum(self.high, ends[1], out=self.high)
        for place, histogram in enumerate(self.histograms):
            low, high = float(ends[0, place]), float(ends[1, place])
            if np.isfinite([low, high]).all():
                histogram.add(arrays[place], (low, high))

    def merge(self, other: Statistics) -> None:
        """Add what other statistics have seen of the same model.

        Raises:
            RangeError: they are of another model, of other shapes, or of another observer.
        """
        self._check(other)
        self.samples += other.samples
        np.minimum(self.low, other.low, out=self.low)
        np.maximum(self.high, other.high, out=self.high)
        for mine, theirs in zip(self.histograms, other.histograms, strict=True):
            mine.merge(theirs)

    def _check(self, other: Statistics) -> None:
        if self.watched.shapes != other.watched.shapes:
            raise RangeError(
                "ranges over samples of different shapes cannot be merged",
                why=f"{_shown(self.watched.shapes)} and {_shown(other.watched.shapes)}",
                hint="calibrate all parts with the same --shape",
            )
        if self.watched != other.watched:
            raise RangeError(
                "ranges of different models cannot be merged",
                hint="calibrate all parts with the same ONNX file and version of hexconv",
            )
        if self.observer != other.observer:
            raise RangeError(
                "ranges of different observers cannot be merged",
                why=f"{self.observer} and {other.observer}",
                hint="calibrate all parts with the same --observer",
            )

    def ranges(self, percentile: float = 99.99, observer: Observer | None = None) -> Ranges:
        """The range of every float value, by name.

        Args:
            percentile: share of the values below the maximum (and above the minimum), in %, for the
                percentile observer.
            observer: another than the statistics' own: "minmax"; any, if theirs is not "minmax".

        Raises:
            RangeError: nothing was added.
        """
        if not self.samples:
            raise RangeError("there are no samples", hint="give at least one")
        ends, observer = self._ends(), observer or self.observer
        if observer == "percentile":
            bounds = [histogram.bounds(percentile) for histogram in self.histograms]
        elif observer == "mse":
            bounds = [histogram.least_error() for histogram in self.histograms]
        elif observer == "entropy":
            bounds = [histogram.least_divergence() for histogram in self.histograms]
        else:
            bounds = ends
        if observer in ("minmax", "mse") and self.histograms:
            bounds = self._behind_slopes(bounds, narrowed=observer == "mse")
        bounds = self._left_to_ops(ends, bounds)
        pairs = zip(ends, bounds, strict=True)
        known = [found if np.isfinite(end).all() else end for end, found in pairs]
        return self.watched.ranges(dict(zip(self.watched.observed, known, strict=True)))

    def _behind_slopes(self, bounds: Sequence[Bounds], *, narrowed: bool) -> list[Bounds]:
        """Ranges, those in front of a LeakyRelu by the error behind it."""
        found = list(bounds)
        for place, name in enumerate(self.watched.observed):
            if name in self.watched.slopes:
                slope = self.watched.slopes[name]
                found[place] = self.histograms[place].behind_slope(slope, narrowed=narrowed)
        return found

    def _left_to_ops(self, ends: Sequence[Bounds], bounds: Sequence[Bounds]) -> list[Bounds]:
        """Ranges, those that would need a table instead of an op only wide enough for the op.

        A table takes 2.5 packets an element, some 20 times as many.
        """
        found = list(bounds)
        for place, name in enumerate(self.watched.observed):
            if name in self.watched.least:
                found[place] = at_least(found[place], ends[place], self.watched.least[name])
        return found

    def _ends(self) -> list[Bounds]:
        """The minimum and maximum of each observed value."""
        return [(float(a), float(b)) for a, b in zip(self.low, self.high, strict=True)]


def _shown(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items())
