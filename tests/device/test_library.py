"""Graphs run in the fake library: loader, imports and runner do their work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hexconv.device import Library, process, taps
from hexconv.device.job import JobWriter, Slot
from hexconv.device.memory import memory
from hexconv.device.records import Progress, RunStage
from hexconv.device.session import tell_progress
from hexconv.errors import ConfigError, DeviceError, GraphError
from hexconv.nnlib.graph import OUTPUT_OP, Const, Graph, Node, Output, Ref
from hexconv.nnlib.versions import LIBRARIES
from tests.device.fake_library import SHAPE, beside, graph_of, values

NEG = "QuantizedNeg_8"
INTEGERS = [np.dtype(f"{sign}{size}").type for sign in "iu" for size in (1, 2, 4, 8)]


def test_every_import_keeps_its_promise(fake: Library) -> None:
    """The fake library checks memory, printf, threads, arithmetic and registers when configured."""
    version, ops = fake.ops()
    assert version == 0x010203
    assert ops[6] == NEG


def test_outputs_have_the_models_names_shapes_and_layout(fake: Library) -> None:
    x = values()
    results = fake.run(graph_of(NEG), {"x": x})
    assert list(results) == ["y"]
    assert results["y"].dtype == np.float32
    np.testing.assert_allclose(results["y"], -x, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 4), (1, 3, 7), (2, 3, 4, 5)])
def test_channels_last_layouts_come_back_as_they_went(
    fake: Library, shape: tuple[int, ...]
) -> None:
    x = values(shape)
    np.testing.assert_allclose(fake.run(graph_of(NEG, NEG, shape=shape), {"x": x})["y"], x)


def test_a_batch_runs_in_one_process(fake: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from hexconv.device import session

    jobs = []
    run_job = session.run_job
    monkeypatch.setattr(session, "run_job", lambda *args: (jobs.append(1), run_job(*args))[1])
    batch = [{"x": values(seed=seed)} for seed in range(20)]
    results = fake.run_batch(graph_of(NEG), batch)
    assert len(jobs) == 1
    for feeds, output in zip(batch, results, strict=True):
        np.testing.assert_allclose(output["y"], -feeds["x"], atol=1e-6)


def test_who_waits_is_told_how_many_nodes_of_all_runs_are_executed(
    fake: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "TICK", 0.003)
    told: list[tuple[str, int, int]] = []
    telling = replace(fake.session, progress=lambda *found: told.append(found))
    monkeypatch.setattr(fake, "session", telling)
    graph = graph_of(*[NEG] * 8)
    fake.run_batch(graph, [{"x": values()}] * 400)
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["prepare", "run"]
    ran = [(done, total) for stage, done, total in told if stage == "run"]
    assert {total for _, total in ran} == {400 * len(graph.nodes)}
    done = [done for done, _ in ran]
    assert done == sorted(done) and len(set(done)) > 5


@pytest.mark.parametrize(
    "stage, reads, runs, told",
    [
        (RunStage.NODE, 0, 0, [("prepare", 0, 0)]),
        (RunStage.EXECUTE, 0, 1, [("run", 0, 30)]),
        (RunStage.EXECUTE, 7, 1, [("run", 3, 30)]),
        (RunStage.EXECUTE, 90, 2, [("run", 20, 30)]),  # with nodes that prepare added
        (RunStage.DONE, 0, 3, []),
    ],
)
def test_progress_is_of_nodes_of_the_graph(
    stage: RunStage, reads: int, runs: int, told: list[tuple[str, int, int]]
) -> None:
    found: list[tuple[str, int, int]] = []
    tell_progress(lambda *item: found.append(item), Progress(stage, 0, reads, runs), 3, 10)
    assert found == told


def test_an_empty_batch_has_no_outputs(fake: Library) -> None:
    assert fake.run_batch(graph_of(NEG), []) == []


def test_a_model_with_a_graph_is_as_good_as_the_graph(fake: Library) -> None:
    class Model:
        graph = graph_of(NEG)

    np.testing.assert_allclose(fake.run(Model(), {"x": values()})["y"], -values(), atol=1e-6)


def test_taps_show_every_nodes_raw_outputs(fake: Library) -> None:
    graph, x = graph_of(NEG, NEG), values()
    outputs, seen = fake.run(graph, {"x": x}, taps=True)
    codes = np.round(x.transpose(0, 2, 1) * 10 + 100).astype(np.uint8).reshape(2, 1, 5, 3)
    np.testing.assert_allclose(outputs["y"], x, atol=1e-6)
    assert list(seen) == [node.name for node in graph.nodes[:-1]]
    assert not seen.left_out
    np.testing.assert_array_equal(seen["input"][0], codes)
    np.testing.assert_array_equal(seen[f"/layer2/{NEG}"][0], 200 - codes)
    assert [array.dtype.name for array in seen["input"]] == ["uint8", "float32", "float32"]
    assert seen.executed[0] == ("input", "QuantizeINPUT_f_to_8")


def test_more_taps_than_the_library_takes_at_once_come_in_several_runs(fake: Library) -> None:
    """The fake library's OUTPUT takes 8 tensors; ten nodes have 30."""
    graph = graph_of(*[NEG] * 9)
    _, seen = fake.run(graph, {"x": values()}, taps=True)
    assert len(seen) == 10


def test_large_tensors_are_tapped_in_several_runs(
    fake: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taps, "GROUP_BYTES", 100)
    groups = list(taps._groups(graph_of(NEG, NEG, NEG).nodes[:-1]))
    assert [len(group) for group in groups] == [2, 2]


def test_constants_and_raw_tensors_reach_the_library(fake: Library) -> None:
    tensor = np.arange(24, dtype=np.uint8).reshape(1, 2, 3, 4)
    low = np.full((1, 1, 1, 1), -1, np.float32)
    refs = (Ref(2), Ref(1), Ref(1))
    outputs = (Output((1, 2, 3, 4), "uint8"), *[Output((1, 1, 1, 1), "float32")] * 2)
    graph = Graph(
        consts=[Const(1, "low", low)],
        nodes=[
            Node(2, "input", "INPUT", (), (Output((1, 2, 3, 4), "uint8"),)),
            Node(3, "negate", NEG, refs, outputs),
            Node(4, "output", "OUTPUT", (Ref(3, 0), Ref(3, 1)), ()),
        ],
    )
    codes, low = fake.run_raw(graph, [tensor])
    np.testing.assert_array_equal(codes, 200 - tensor)
    np.testing.assert_array_equal(low, low)


def test_the_profile_has_every_executed_node_and_counts_its_workers(fake: Library) -> None:
    graph = graph_of(NEG, shape=(1, 8, 1000))
    counted = fake.profile(graph, {"x": values((1, 8, 1000))})
    names = [node.name for node in counted.nodes]
    assert names == ["input", f"/layer2/{NEG}", "output"]
    negate = counted.nodes[1]
    assert negate.packets > 8000  # at least one packet an element, in its own thread
    assert negate.main_packets < negate.packets / 2
    assert negate.instructions >= negate.packets
    assert counted.packets == sum(node.packets for node in counted.nodes)


def test_counts_hardly_vary(fake: Library) -> None:
    graph, x = graph_of(NEG, NEG), values()
    one, two = (fake.profile(graph, {"x": x}).packets for _ in range(2))
    assert abs(one - two) <= 0.05 * one  # waking a worker costs some tens of packets more or less


def test_memory_counts_what_the_library_holds_at_most(fake: Library) -> None:
    """Two tensors of 60000 bytes; a MiB of heap and VTCM that an op gives back."""
    small, large = (
        fake.memory(graph_of(NEG, shape=shape), {"x": values(shape)})
        for shape in ((1, 8, 10), (1, 200, 300))
    )
    assert abs(large.prepare - small.prepare - 2 * 60000) < 4096  # input, and its negative
    assert (small.execute, small.vtcm) == (small.prepare, 0)
    borrowed = memory(fake.session, beside("Borrow"), [], [Slot(1, "uint8")])
    assert abs(borrowed.execute - borrowed.prepare - (1 << 20)) < 4096
    assert borrowed.vtcm == 65536


def test_nodes_are_listed_before_and_after_prepare(fake: Library) -> None:
    before, after = fake.nodes(graph_of(NEG))
    assert before == after
    assert [op for _, op in before] == ["QuantizeINPUT_f_to_8", NEG, OUTPUT_OP]


def test_an_input_quantized_on_the_dsp_needs_its_data(fake: Library) -> None:
    graph, x = graph_of(NEG), values()
    wrong = {
        "no data for input 'x'": {},
        "has no input 'z'": {"x": x, "z": x},
        r"'x' has shape \[2, 3, 6\]": {"x": np.zeros((2, 3, 6), np.float32)},
        "'x' contains NaN": {"x": np.full(SHAPE, np.nan, np.float32)},
        "'x' contains 16777217": {"x": np.full(SHAPE, (1 << 24) + 1)},
        "is not an array of numbers": {"x": np.full(SHAPE, "a")},
    }
    for message, feeds in wrong.items():
        with pytest.raises(ConfigError, match=message):
            fake.run(graph, feeds)


@pytest.mark.parametrize(
    "kind", ["bool", "uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64"]
)
def test_integers_are_the_same_numbers(fake: Library, kind: type) -> None:
    x = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(kind)
    own, floats = (fake.run(graph_of(NEG), {"x": data}) for data in (x, x.astype(np.float32)))
    np.testing.assert_array_equal(own["y"], floats["y"])


def test_a_graph_whose_ends_do_not_fit_is_rejected(fake: Library) -> None:
    graph = graph_of(NEG)
    for broken in (
        replace(graph, nodes=graph.nodes[1:]),
        replace(graph, outputs=[]),
        beside("Escape"),
    ):
        with pytest.raises(GraphError):
            fake.run(broken, {"x": values()})


def test_an_option_that_the_library_does_not_know_is_its_own_error(fake: Library) -> None:
    with pytest.raises(DeviceError, match=r"knows no option speed \(9\)"):
        fake.session.ask(lambda job: JobWriter.option(job, "speed", 9))


def test_a_library_of_another_version_than_asked_for_is_an_error(fake: Library) -> None:
    fake.expect(None)
    fake.expect(fake.version)
    for other in set(LIBRARIES) - {fake.version}:
        with pytest.raises(ConfigError, match=f"this library is {fake.version}, not {other}") as e:
            fake.expect(other)
        assert e.value.where == str(fake.path)
        assert e.value.hint is not None and f"third_party/nnlib/{other}" in e.value.hint
