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
        layer_samples: of how many samples every tensor is compared, the first ones of all shards.
    """

    graph: Graph
    reference: FloatGraph
    library: LibraryVersion
    keeps: bool
    layer_samples: int

    def open(self) -> Callable[[Shard], Tally]:
        """Open both sides once."""
        bench = Bench(
            self.graph,
            self.reference,
            self.library,
            keeps=self.keeps,
            threads=1,
            layer_samples=self.layer_samples,
        )

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
    given = (bench.graph, bench.reference, bench.library, bench.keeps, bench.layer_samples)
    job = VerificationJob(*given)
    merged, failed = bench.tally(), []
    for outcome in cluster.run(job, samples, progress):
        if isinstance(outcome, Failed):
            failed.append(outcome)
        else:
            merged.merge(outcome.result)
    failed.sort(key=lambda item: item.span)
    return merged, failed
