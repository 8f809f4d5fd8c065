"""Comparison of samples that are distributed over worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hexconv.cluster import Cluster, Failed, Shard
from hexconv.compare.layers import Bench, Sample
from hexconv.compare.tally import Tally
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.versions import LibraryVersion
from hexconv.onnx_graph import FloatGraph


@dataclass(frozen=True)
class VerificationJob:
    """The tally of each shard.

    Args:
        graph: the quantized side.
        reference: the float side.
        library: that the simulator follows.
        keeps: whether each sample is kept with both outputs.
    """

    graph: Graph
    reference: FloatGraph
    library: LibraryVersion
    keeps: bool

    def open(self) -> Callable[[Shard], Tally]:
        """Open both sides once."""
        bench = Bench(self.graph, self.reference, self.library, keeps=self.keeps, threads=1)

        def run(shard: Shard) -> Tally:
            tally = bench.tally()
            for number, sample in shard.numbered():
                bench.add(sample, tally, number)
            return tally

        return run


def measure_on(
    cluster: Cluster,
    bench: Bench,
    samples: Iterable[Sample],
    progress: Callable[[int], None] | None = None,
) -> tuple[Tally, list[Failed]]:
    """As `Bench.measure`: the same figures, bit for bit, whatever the number of workers.

    Returns:
        The tally of the shards that succeeded, and those that failed.

    Raises:
        ClusterError: the scheduler or all workers are gone.
    """
    job = VerificationJob(bench.graph, bench.reference, bench.library, bench.keeps)
    merged, failed = bench.tally(), []
    for outcome in cluster.run(job, samples, progress):
        if isinstance(outcome, Failed):
            failed.append(outcome)
        else:
            merged.merge(outcome.result)
    failed.sort(key=lambda item: item.span)
    return merged, failed
