"""Run samples through a graph side by side, one thread an inference.

Many small ops on many threads mostly wait for each other: the 144-frame reference encoder takes
1.7 times the CPU time on ONNX Runtime's own two threads that it takes on one. Samples are
independent of each other, so they run in parallel instead of the ops. Each thread has statistics
of its own, merged at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from queue import SimpleQueue

import numpy as np

from hexconv.arrays import Array
from hexconv.calibrate.statistics import Statistics
from hexconv.errors import RangeError
from hexconv.onnx_graph.session import FloatSession
from hexconv.threads import cores

MOST_WORKERS = 4

Feeds = Mapping[str, Array]


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
        RangeError: there are no samples, or an observed value is not finite.
        ModelError: ONNX Runtime cannot run the graph.
    """
    stream = iter(samples)
    first = list(islice(stream, min(MOST_WORKERS, cores())))
    if not first:
        raise RangeError("there are no samples", hint="give at least one")
    opened = session(1 if len(first) > 1 else 0)
    idle: SimpleQueue[Statistics] = SimpleQueue()
    for _ in first:
        idle.put(start())

    def job(feeds: Feeds, number: int) -> None:
        statistics = idle.get()
        try:
            add_sample(statistics, opened, feeds, number)
        finally:
            idle.put(statistics)

    with ThreadPoolExecutor(len(first)) as pool:
        pending: deque[Future[None]] = deque()
        done = 0
        for number, feeds in enumerate(chain(first, stream)):
            if len(pending) == len(first):
                pending.popleft().result()
                done = _count(done, progress)
            pending.append(pool.submit(job, feeds, number))
        for future in pending:
            future.result()
            done = _count(done, progress)
    merged = idle.get()
    while not idle.empty():
        merged.merge(idle.get())
    return merged


def add_sample(statistics: Statistics, session: FloatSession, feeds: Feeds, number: int) -> None:
    """Run one sample, and add what is observed.

    Args:
        statistics: changed in place.
        session: that returns the observed values.
        feeds: by input name.
        number: of the sample, for errors.

    Raises:
        RangeError: an observed value is not finite.
    """
    arrays = list(session.run(feeds).values())
    ends = np.array([[array.min() for array in arrays], [array.max() for array in arrays]], "f")
    _require_finite(list(session.outputs), ends, number)
    statistics.add(arrays, ends)


def _count(done: int, progress: Callable[[int], None] | None) -> int:
    if progress is not None:
        progress(done + 1)
    return done + 1


def _require_finite(names: list[str], ends: Array, number: int) -> None:
    """Raise on NaN and infinity, which show in the minimum or the maximum."""
    finite = np.isfinite(ends).all(axis=0)
    if not finite.all():
        raise RangeError(
            f"tensor '{names[int(np.argmin(finite))]}' becomes NaN or infinite",
            where=f"sample {number}",
            hint="check the scale of the samples, and the model in float",
        )
