"""Samples per second of a cluster against one process: `python -m benchmarks.cluster`.

`calibrate`, `simulate` and `verify` of the Conformer of `benchmarks.conversion`, the same samples,
in one run: one process first, then `local:N`. Starting workers and opening the model in each is
part of neither; a first pass does that. With more workers than cores there is nothing to gain from
their computing: there each sample takes as long as on one core by sleeping instead, so that what is
measured is what the cluster itself costs (reading, sending and merging).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import hexconv
from benchmarks.conversion import conformer
from hexconv.calibrate import measure, synthetic_samples
from hexconv.calibrate.distributed import CalibrationJob
from hexconv.cluster import Cluster, Done, Job, Shard
from hexconv.compare.distributed import VerificationJob
from hexconv.compare.layers import Bench
from hexconv.onnx_graph import FloatGraph, load
from hexconv.pipeline import prepared
from hexconv.settings import Observer, Settings
from hexconv.simulator import Simulator
from hexconv.simulator.many import SimulationJob
from hexconv.threads import alone

CORES = os.cpu_count() or 1
OBSERVERS: tuple[Observer, ...] = ("minmax", "percentile")
WORK = [*(f"calibrate, {observer}" for observer in OBSERVERS), "simulate", "verify"]
Samples = list[dict[str, np.ndarray]]


@dataclass(frozen=True)
class Asleep:
    """A job of which only the time is kept: it sleeps, and returns what one shard's result was."""

    seconds: float
    result: Any

    def open(self) -> Callable[[Shard], Any]:
        """Nothing to open."""

        def run(shard: Shard) -> Any:
            time.sleep(self.seconds * len(shard.samples))
            return self.result

        return run


def rate(work: Callable[[], object], count: int) -> float:
    """Samples per second."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def drain(cluster: Cluster, job: Job[Any], samples: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Run all of it."""
    results = []
    for outcome in cluster.run(job, samples):
        assert isinstance(outcome, Done)
        results.append(outcome.result)
    return results


def simulate(model: hexconv.Model, samples: Samples) -> None:
    """One process, as `hexconv simulate` does it."""
    simulator = Simulator(model)
    for sample in samples:
        simulator.run(sample)


def one_core(job: Job[Any], samples: Samples) -> tuple[float, Any]:
    """Seconds a sample on one thread, and the result of a shard."""
    with alone():
        run = job.open()
        shard = Shard(0, tuple(samples[:16]))
        run(shard)
        start = time.perf_counter()
        result = run(shard)
        return (time.perf_counter() - start) / len(shard.samples), result


def measured(
    name: str, job: Job[Any], alone_: Callable[[], object], samples: Samples, workers: list[int]
) -> None:
    """Print a row for each number of workers."""
    base = rate(alone_, len(samples))
    print(f"{name}: one process {base:.1f} samples/s")
    seconds, result = one_core(job, samples)
    for count in workers:
        asleep = count > CORES
        chosen: Job[Any] = Asleep(seconds, result) if asleep else job
        with Cluster(f"local:{count}") as cluster:
            drain(cluster, chosen, samples[: 16 * count])
            found = rate(lambda c=cluster, j=chosen: drain(c, j, samples), len(samples))  # type: ignore[misc]
        against = count / seconds if asleep else base
        of = f"of {count} undisturbed cores" if asleep else "of one process"
        kind = " (sleeping)" if asleep else ""
        print(
            f"  local:{count}{kind} {found:.1f} samples/s, {found / against:.2f} {of}", flush=True
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 8])
    parser.add_argument("--work", nargs="*", choices=WORK, default=WORK, help="all by default")
    options = parser.parse_args()
    graph: FloatGraph = load(conformer(), recognize=False)
    samples = list(synthetic_samples(graph, count=options.samples))
    model = hexconv.convert(conformer(), samples=samples[:4])
    print(f"{CORES} cores, load {os.getloadavg()[0]:.1f}, {options.samples} samples")
    works: dict[str, tuple[Job[Any], Callable[[], object]]] = {
        f"calibrate, {observer}": (
            CalibrationJob(graph, observer),
            lambda o=observer: measure(graph, samples, o),  # type: ignore[misc]
        )
        for observer in OBSERVERS
    }
    works["simulate"] = SimulationJob(model.graph, "v66"), lambda: simulate(model, samples)
    reference = prepared(conformer(), {}, Settings())[0]
    bench = Bench(model.graph, reference, "v66")
    verification = VerificationJob(model.graph, reference, "v66", keeps=False)
    works["verify"] = verification, lambda: bench.measure(samples)
    for name in options.work:
        measured(name, *works[name], samples, options.workers)


if __name__ == "__main__":
    main()
