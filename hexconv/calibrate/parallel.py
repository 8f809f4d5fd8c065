"""Run samples through a graph side by side, one thread an inference.

Many small ops on many threads mostly wait for each other: the 144-frame reference encoder takes
1.7 times the CPU time on ONNX Runtime's own two threads that it takes on one. Samples are
independent of each other, so they run in parallel instead of the ops.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import RangeError
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.session import FloatSession

MOST_WORKERS = 4

T = TypeVar("T")
Feeds = Mapping[str, Array]


def run_all(
    graph: FloatGraph,
    watched: list[str],
    samples: Iterable[Feeds],
    work: Callable[[list[Array], Array], T],
    progress: Callable[[int], None] | None = None,
) -> Iterator[T]:
    """`work` for each sample, in the order of the samples.

    `work` receives the observed values and their minima and maxima, float32 (2, values). No more
    samples are read ahead than there are workers.

    Raises:
        RangeError: there are no samples, or an observed value is not finite.
        ModelError: ONNX Runtime cannot run the graph.
    """
    stream = iter(samples)
    workers = min(MOST_WORKERS, os.cpu_count() or 1)
    first = list(islice(stream, workers))
    if not first:
        raise RangeError("there are no samples", hint="give at least one")
    session = FloatSession(graph, watched, threads=1 if len(first) > 1 else 0)

    def job(feeds: Feeds, number: int) -> T:
        arrays = list(session.run(feeds).values())
        ends = _ends(arrays)
        _require_finite(watched, ends, number)
        return work(arrays, ends)

    with ThreadPoolExecutor(len(first)) as pool:
        pending: deque[Future[T]] = deque()
        done = 0
        for number, feeds in enumerate(chain(first, stream)):
            if len(pending) == len(first):
                yield pending.popleft().result()
                done += 1
                if progress is not None:
                    progress(done)
            pending.append(pool.submit(job, feeds, number))
        for future in pending:
            yield future.result()
            done += 1
            if progress is not None:
                progress(done)


def _ends(arrays: list[Array]) -> Array:
    """Minima and maxima of arrays, float32 (2, len(arrays))."""
    return np.array(
        [[array.min() for array in arrays], [array.max() for array in arrays]], np.float32
    )


def _require_finite(names: list[str], ends: Array, number: int) -> None:
    """Raise on NaN and infinity, which show in the minimum or the maximum."""
    finite = np.isfinite(ends).all(axis=0)
    if not finite.all():
        raise RangeError(
            f"tensor '{names[int(np.argmin(finite))]}' becomes NaN or infinite",
            where=f"sample {number}",
            hint="check the scale of the samples, and the model in float",
        )
