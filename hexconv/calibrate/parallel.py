"""Run samples through a graph side by side, one thread an inference.

Many small ops on many threads mostly wait for each other: the 144-frame reference encoder takes
1.7 times the CPU time on ONNX Runtime's own two threads that it takes on one. Samples are
independent of each other, so they run in parallel instead of the ops. Each thread has statistics
of its own, merged at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from hexconv import native
from hexconv.arrays import Array
from hexconv.calibrate.statistics import Statistics
from hexconv.errors import NotFiniteError, RangeError
from hexconv.onnx_graph.session import FloatSession
from hexconv.threads import MOST_SIDE_BY_SIDE, cores, side_by_side

Feeds = Mapping[str, Array]
TOLD_INPUTS = 4
"""Inputs whose ends an error tells."""


def gather(
    session: Callable[[int], FloatSession],
    start: Callable[[], Statistics],
    samples: Iterable[Feeds],
    progress: Callable[[int], None] | None = None,
) -> Statistics:
    """Statistics over all samples. No more samples are read ahead than there are threads.

    Args:
        session: opens the model, for inferences on a number of threads (0: all).
        start: makes empty statistics.
        samples: drawn one by one.
        progress: called with the number of samples done, after each.

    Raises:
        RangeError: there are no samples.
        NotFiniteError: an observed value is NaN or infinite.
        ModelError: ONNX Runtime cannot run the graph.
    """
    stream = iter(samples)
    first = list(islice(stream, min(MOST_SIDE_BY_SIDE, cores())))
    if not first:
        raise RangeError("there are no samples", hint="give at least one")
    opened = session(1 if len(first) > 1 else 0)
    parts = [start() for _ in first]

    def add(statistics: Statistics, number: int, feeds: Feeds) -> None:
        add_sample(statistics, opened, feeds, number)

    for done, _ in enumerate(side_by_side(add, parts, chain(first, stream)), 1):
        if progress is not None:
            progress(done)
    merged, *others = parts
    for part in others:
        merged.merge(part)
    return merged


def add_sample(statistics: Statistics, session: FloatSession, feeds: Feeds, number: int) -> None:
    """Run one sample, and add what is observed.

    Args:
        statistics: changed in place.
        session: that returns the observed values.
        feeds: by input name.
        number: of the sample, for errors.

    Raises:
        NotFiniteError: an observed value is NaN or infinite, and not optional.
    """
    arrays = list(session.run(feeds).values())
    ends = ends_of(arrays)
    optional = statistics.watched.optional
    _require_finite(list(session.outputs), ends, feeds, number, optional)
    statistics.add(arrays, ends)


def ends_of(arrays: Sequence[Array]) -> npt.NDArray[np.float32]:
    """(2, arrays): minima and maxima of float32 arrays that are not empty; zeros have no sign."""
    passes = native.library()
    if passes is not None:
        return passes.extremes([np.ascontiguousarray(array) for array in arrays]) + np.float32(0)
    start = time.perf_counter()
    ends = [[array.min() for array in arrays], [array.max() for array in arrays]]
    native.spent(time.perf_counter() - start)
    return np.array(ends, np.float32) + np.float32(0)


def _require_finite(
    names: list[str], ends: Array, feeds: Feeds, number: int, optional: Set[str]
) -> None:
    """Raise on NaN and infinity, which show in the minimum or the maximum."""
    finite = np.isfinite(ends).all(axis=0) | np.array([name in optional for name in names])
    if not finite.all():
        raise NotFiniteError(
            f"tensor '{names[int(np.argmin(finite))]}' becomes NaN or infinite",
            where=f"sample {number}",
            why=", ".join(_ends_of_inputs(feeds)),
            hint="check the scale of the samples, and the model in float",
        )


def _ends_of_inputs(feeds: Feeds) -> list[str]:
    return [
        f"the input '{name}' is from {array.min():.3g} to {array.max():.3g}"
        for name, array in list(feeds.items())[:TOLD_INPUTS]
        if array.size
    ]
