"""Samples on several worker processes: the bytes of one process, whatever happens to a worker."""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

import hexconv
from hexconv.calibrate import measure, synthetic_samples, write_statistics
from hexconv.calibrate.distributed import measure_on
from hexconv.cli import group
from hexconv.cluster import Cluster, Done, Failed, Shard, Span, require_complete, shards
from hexconv.compare import verify
from hexconv.errors import ClusterError, ConfigError, GraphError, MissingExtra
from hexconv.models.encoder import EncoderConfig, reference_encoder
from hexconv.onnx_graph import load
from hexconv.settings import OBSERVERS, Observer
from hexconv.simulator import Simulator
from hexconv.simulator.many import require_independent, simulate_on
from tests.onnx_graph.models import model, node

pytest.importorskip("distributed")

CONFIG = EncoderConfig(frames=16, width=32, feed_forward=48, blocks=1, labels=11)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("local:2") as started:
        yield started


def samples(count: int, seed: int = 0) -> list[dict[str, Any]]:
    graph = load(reference_encoder(CONFIG))
    return list(synthetic_samples(graph, count=count, seed=seed))


@pytest.mark.parametrize("observer", OBSERVERS)
def test_ranges_are_those_of_one_process(
    cluster: Cluster, observer: Observer, tmp_path: Path
) -> None:
    graph, feeds = load(reference_encoder(CONFIG), recognize=False), samples(40)
    counted: list[int] = []
    found, failed = measure_on(cluster, graph, feeds, observer, counted.append)
    assert not failed and counted == sorted(counted) and counted[-1] == 40
    write_statistics(tmp_path / "one.npz", measure(graph, feeds, observer))
    write_statistics(tmp_path / "many.npz", found)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "many.npz").read_bytes()


@pytest.fixture(scope="module")
def converted() -> hexconv.Model:
    return hexconv.convert(reference_encoder(CONFIG), samples=samples(4))


@pytest.mark.parametrize("library", ["v60", "v66"])
def test_outputs_are_those_of_one_process(
    cluster: Cluster, converted: hexconv.Model, library: Any
) -> None:
    feeds = samples(40, seed=2)
    simulator = Simulator(converted, library)
    seen: set[int] = set()
    for outcome in simulate_on(cluster, converted, feeds, library):
        assert isinstance(outcome, Done)
        for number, outputs in enumerate(outcome.result, outcome.span.first):
            expected = simulator.run(feeds[number])
            assert {k: v.tobytes() for k, v in outputs.items()} == {
                k: v.tobytes() for k, v in expected.items()
            }
            seen.add(number)
    assert seen == set(range(40))


def test_a_comparison_has_the_figures_of_one_process(
    cluster: Cluster, converted: hexconv.Model
) -> None:
    proto, feeds = reference_encoder(CONFIG), samples(40, seed=3)
    one = verify(converted, proto, feeds[:20], held_out=feeds[20:])
    many = verify(converted, proto, feeds[:20], held_out=feeds[20:], cluster=cluster)
    assert many.as_dict() == one.as_dict()


def in_order(outputs: Any, samples: Any) -> float:
    """A number that depends on the order of the samples, on their inputs and their outputs."""
    pairs = enumerate(zip(outputs, samples, strict=True), 1)
    return float(sum(i * (out["fa_out"].max() + data["speech"].mean()) for i, (out, data) in pairs))


def test_a_metric_gets_the_samples_in_their_order(
    cluster: Cluster, converted: hexconv.Model
) -> None:
    """All 40, from two processes, as from one: shards end in any order."""
    proto, feeds = reference_encoder(CONFIG), samples(40, seed=3)
    one = verify(converted, proto, feeds[:20], held_out=feeds[20:], metrics=[in_order])
    many = verify(
        converted, proto, feeds[:20], held_out=feeds[20:], metrics=[in_order], cluster=cluster
    )
    assert many.metrics == one.metrics and many.metrics[0].held_out is not None
    other = verify(converted, proto, held_out=feeds[:19:-1], metrics=[in_order], cluster=cluster)
    assert other.metrics[0].held_out != many.metrics[0].held_out


@dataclass(frozen=True)
class Slowly:
    """The process that ran each shard, and the sum of its samples."""

    seconds: float

    def open(self) -> Callable[[Shard], tuple[int, float]]:
        def run(shard: Shard) -> tuple[int, float]:
            time.sleep(self.seconds)
            return os.getpid(), float(sum(sample["x"].sum() for sample in shard.samples))

        return run


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"x": np.full(3, number, np.float32)} for number in range(count)]


def test_a_worker_that_is_killed_is_replaced(cluster: Cluster) -> None:
    found: list[tuple[int, float]] = []
    for outcome in cluster.run(Slowly(0.2), numbered(16 * 12)):
        assert isinstance(outcome, Done)
        if not found:
            os.kill(outcome.result[0], signal.SIGKILL)
        found.append(outcome.result)
    assert len({process for process, _ in found}) > 1
    assert sum(total for _, total in found) == 3 * sum(range(16 * 12))


def overflowing() -> onnx.ModelProto:
    return model([node("Exp", "x", "e"), node("Relu", "e", "y")], {"x": (1, 4)})


def test_a_shard_that_fails_is_named_and_the_rest_is_kept(cluster: Cluster) -> None:
    graph = load(overflowing(), recognize=False)
    feeds = [{"x": np.full((1, 4), number % 5, np.float32)} for number in range(50)]
    feeds[20]["x"] = np.full((1, 4), 1000, np.float32)
    found, failed = measure_on(cluster, graph, feeds)
    assert [item.span for item in failed] == [Span(16, 31)]
    kept = measure(graph, feeds[:16] + feeds[32:])
    assert found.samples == 34 and found.ranges() == kept.ranges()
    with pytest.raises(ClusterError, match=r"(?s)1 shard failed.*samples 16 to 31: .*NaN") as error:
        require_complete(failed, "the rest is kept")
    assert "sample 20" in str(error.value)


def test_workers_with_another_version_are_named(cluster: Cluster) -> None:
    def pretend(version: str) -> None:
        import hexconv

        hexconv.__version__ = version

    client = cluster._client
    client.run(pretend, "0.0.1")
    try:
        with pytest.raises(ClusterError, match=r"(?s)has hexconv 0\.0\.1.*same versions"):
            Cluster(client.scheduler.address)
        failed = list(cluster.run(Slowly(0.0), numbered(3)))
        assert isinstance(failed[0], Failed) and "hexconv 0.0.1" in failed[0].error.what
    finally:
        client.run(pretend, hexconv.__version__)


def test_a_scheduler_can_be_named_by_its_address(cluster: Cluster) -> None:
    with Cluster(cluster._client.scheduler.address) as other:
        (outcome,) = other.run(Slowly(0.0), numbered(2))
    assert isinstance(outcome, Done) and outcome.result[1] == 3.0
    cluster._client.wait_for_workers(2, timeout=60)  # an earlier test has killed one
    assert len(cluster.workers) == 2, "workers that it has not started go on"


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexconv.cluster.cluster.CONNECT_SECONDS", 1)
    with pytest.raises(ConfigError, match=r"there is no cluster at tcp://127\.0\.0\.1:9"):
        Cluster("tcp://127.0.0.1:9")


@pytest.mark.parametrize("address", ["", "local", "local:", "local:0", "local:-1", "there:8786"])
def test_other_addresses_are_an_error(address: str) -> None:
    with pytest.raises(ConfigError, match="is not the address of a cluster"):
        Cluster(address)


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"hexconv-mace\[cluster\]"):
        Cluster("local:1")


def test_shards_are_small() -> None:
    found = list(shards(numbered(40)))
    assert [len(shard.samples) for shard in found] == [16, 16, 8]
    assert [str(shard.span) for shard in found][-1] == "samples 32 to 39"
    large = [{"x": np.zeros(5 << 18, np.float32)} for _ in range(3)]
    assert [len(shard.samples) for shard in shards(large)] == [1, 1, 1]


def test_outputs_that_depend_on_earlier_samples_are_not_distributed(
    converted: hexconv.Model,
) -> None:
    require_independent(converted.graph)
    graph = copy.deepcopy(converted.graph)
    node = next(node for node in graph.nodes if node.op.startswith("Supernode"))
    ends = {ref.node for ref in node.inputs[-2:]}
    graph.consts = [
        replace(const, array=np.full_like(const.array, np.inf)) if const.id in ends else const
        for const in graph.consts
    ]
    with pytest.raises(GraphError, match=f"(?s){node.name}.*widest that it has seen"):
        require_independent(graph)


@dataclass(frozen=True)
class Deadly:
    """Ends the process on one sample."""

    number: float

    def open(self) -> Callable[[Shard], int]:
        def run(shard: Shard) -> int:
            if any(sample["x"][0] == self.number for sample in shard.samples):
                os.kill(os.getpid(), signal.SIGKILL)
            return len(shard.samples)

        return run


@pytest.mark.slow
def test_a_shard_that_kills_its_workers_fails_alone(cluster: Cluster) -> None:
    outcomes = list(cluster.run(Deadly(40.0), numbered(64)))
    failed = [item for item in outcomes if isinstance(item, Failed)]
    assert [item.span for item in failed] == [Span(32, 47)]
    assert "KilledWorker" in failed[0].error.what
    assert sum(item.result for item in outcomes if isinstance(item, Done)) == 48


def test_a_result_that_is_lost_with_its_worker_is_computed_by_itself(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies after the shard has ended, before its result is fetched."""
    finished, killed = cluster._finished, list[int]()

    def lost(futures: list[Any]) -> list[Any]:
        found = finished(futures)
        if not killed:
            killed.append(found[0].result()[0])
            os.kill(killed[0], signal.SIGKILL)
        return found

    monkeypatch.setattr(cluster, "_finished", lost)
    outcomes = list(cluster.run(Slowly(0.0), numbered(40)))
    assert sorted(outcome.span.first for outcome in outcomes) == [0, 16, 32]
    assert all(isinstance(outcome, Done) for outcome in outcomes)


@dataclass
class Lost:
    """A future whose result was lost with its worker, of which dask says nothing any more."""

    status: str = "pending"

    def result(self, timeout: float) -> None:
        raise TimeoutError

    def cancel(self, futures: list[Lost]) -> None:
        """As a client: forget it."""
        for future in futures:
            future.status = "cancelled"


def test_a_result_of_which_dask_says_nothing_is_not_waited_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    future = Lost()
    monkeypatch.setattr(cluster, "_client", future)
    assert cluster._fetched(future, Span(0, 0)) is None and future.status == "cancelled"


def test_a_shard_without_a_result_is_run_once_more(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched, lost = cluster._fetched, [True, True]
    monkeypatch.setattr(
        cluster, "_fetched", lambda *asked: None if lost and lost.pop() else fetched(*asked)
    )
    outcomes = list(cluster.run(Slowly(0.0), numbered(40)))
    assert sorted(outcome.span.first for outcome in outcomes) == [0, 16, 32]
    assert all(isinstance(outcome, Done) for outcome in outcomes) and not lost


def test_samples_wait_for_workers_that_are_being_replaced(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "workers", {})
    outcomes = list(cluster.run(Slowly(0.0), numbered(40)))
    assert all(isinstance(outcome, Done) for outcome in outcomes) and len(outcomes) == 3


METRIC = """
def in_order(outputs, samples):
    pairs = enumerate(zip(outputs, samples), 1)
    return float(sum(i * (out["fa_out"].max() + data["speech"].mean()) for i, (out, data) in pairs))
"""


def test_the_command_line_has_a_metric_of_distributed_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--cluster with --metric: the figures and the exit code of one process."""
    onnx.save(reference_encoder(CONFIG), tmp_path / "m.onnx")
    (tmp_path / "metrics.py").write_text(METRIC)
    for name, seed in (("calib", 1), ("held", 2)):
        (tmp_path / name).mkdir()
        for number, sample in enumerate(samples(20, seed)):
            np.save(tmp_path / name / f"{number:02}.npy", sample["speech"])

    def verified(*more: str) -> Result:
        asked = ["verify", "m.onnx", "--samples", "calib", "--test", "held", "--json"]
        return CliRunner().invoke(group, [*asked, "--metric", "metrics.py:in_order", *more])

    monkeypatch.chdir(tmp_path)
    one, many = verified(), verified("--cluster", "local:2")
    failed = verified("--cluster", "local:2", "--fail-above", "in_order=0")
    found = [json.loads(result.stdout)["accuracy"] for result in (one, many, failed)]
    assert found[0]["metrics"][0]["name"] == "in_order" and found[0]["metrics"][0]["held_out"]
    assert found[1] == found[0]
    assert (one.exit_code, many.exit_code, failed.exit_code) == (0, 0, 3)
    assert "in_order" in failed.stderr
