"""Calibration of samples that are distributed over worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, replace

from hexconv.calibrate.observe import Feeds, Progress, watch
from hexconv.calibrate.parallel import add_sample
from hexconv.calibrate.statistics import Statistics
from hexconv.cluster import Cluster, Failed, Shard
from hexconv.errors import RangeError
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.session import FloatSession
from hexconv.settings import Observer


@dataclass(frozen=True)
class CalibrationJob:
    """Statistics of each shard.

    Args:
        graph: what to run.
        observer, optional: as for `observe`.
    """

    graph: FloatGraph
    observer: Observer
    optional: Set[str] = frozenset()

    def open(self) -> Callable[[Shard], Statistics]:
        """Open the model once."""
        watched = replace(watch(self.graph), optional=self.optional)
        session = FloatSession(self.graph, watched.observed, threads=1)

        def run(shard: Shard) -> Statistics:
            statistics = Statistics(watched, self.observer)
            for number, feeds in shard.numbered():
                add_sample(statistics, session, feeds, number)
            return statistics

        return run


def measure_on(
    cluster: Cluster,
    graph: FloatGraph,
    samples: Iterable[Feeds],
    observer: Observer = "minmax",
    progress: Progress | None = None,
    optional: Set[str] = frozenset(),
) -> tuple[Statistics, list[Failed]]:
    """As `measure`: the same statistics, bit for bit, whatever the number of workers.

    Returns:
        The statistics of the shards that succeeded, and those that failed.

    Raises:
        RangeError: there are no samples.
        ClusterError: the scheduler or all workers are gone.
    """
    merged = Statistics(replace(watch(graph), optional=optional), observer)
    failed: list[Failed] = []
    for outcome in cluster.run(CalibrationJob(graph, observer, optional), samples, progress):
        if isinstance(outcome, Failed):
            failed.append(outcome)
        else:
            merged.merge(outcome.result)
    if not merged.samples and not failed:
        raise RangeError("there are no samples", hint="give at least one")
    failed.sort(key=lambda item: item.span)
    return merged, failed
