"""Complete graphs: the library's outputs, tensor by tensor, and a caller's mistakes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hexconv.arrays import Array
from hexconv.errors import ConfigError, GraphError, HexconvError
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Graph, Interface, Node, Output, Ref
from hexconv.nnlib.layout import Layout
from hexconv.nnlib.prepare import prepare
from hexconv.simulator import Simulator, run_op, simulate
from hexconv.simulator.executor import Executor
from hexconv.simulator.golden import check_graph, recorded
from tests.nnlib.random_graphs import SCALAR, Builder, Generator

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDED = sorted((GOLDEN / "graphs").glob("*.json"))
RANDOM = json.loads((GOLDEN / "random_graphs.json").read_text())
RETURNED = [seed for seed, row in RANDOM.items() if "answers" in row]


def vocoder() -> tuple[Graph, Array, Array]:
    """A recorded model with its interface in channels-first order, an input and the output."""
    item = recorded(GOLDEN / "graphs" / "vocoder_s2b.json")
    sources, returned = item.runs[0]
    layout = Layout.channels_last(3)

    def outside(array: Array) -> Array:
        _, _, length, channels = array.shape
        return layout.unpack(array, (1, channels, length))

    mel, wave = outside(sources[0]), outside(returned[0])
    graph = item.graph
    graph.inputs = [Interface("mel", mel.shape, layout)]
    graph.outputs = [Interface("wave", wave.shape, layout)]
    return graph, mel, wave


def two_inputs() -> Graph:
    """(first - second) and relu(first), each of shape (2, 3)."""
    plain = Layout.plain(2)
    shape = plain.shape((2, 3))
    made = Builder()
    quantized = [Output(shape, "uint8"), SCALAR, SCALAR]
    source = made.append(INPUT_OP, [], quantized * 2)
    ports = [Ref(source.id, port) for port in range(6)]
    order = [0, 3, 1, 2, 4, 5]
    inputs = [*(ports[i] for i in order), *made.range(-4, 4 * 127 / 128)]
    less = made.quantized("QuantizedSub_8p8to8", inputs, shape)
    relu = made.quantized("QuantizedRelu_8", ports[:3], shape)
    made.append(OUTPUT_OP, [*less, *relu], [])
    graph = made.graph()
    graph.inputs = [Interface("first", (2, 3), plain), Interface("second", (2, 3), plain)]
    graph.outputs = [Interface("less", (2, 3), plain), Interface("relu", (2, 3), plain)]
    return graph


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_graphs_are_exact_in_every_tensor(path: Path) -> None:
    verdicts = check_graph(recorded(path))
    assert len(verdicts) > 10
    assert [verdict for verdict in verdicts if not verdict.exact] == []


@pytest.mark.parametrize("seed", RETURNED)
def test_random_graphs_compute_the_same_as_the_library_did(seed: str) -> None:
    graph, feeds = Generator(int(seed)).graph()
    returned = Executor(prepare(graph), "v60").run(feeds)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in returned))
    assert digest.hexdigest()[:16] == RANDOM[seed]["answers"]


def test_feeds_and_outputs_have_the_models_own_names_layout_and_rank() -> None:
    graph, mel, wave = vocoder()
    returned = simulate(graph, {"mel": mel}, library="v60")
    assert list(returned) == ["wave"]
    assert returned["wave"].dtype == np.float32
    np.testing.assert_array_equal(returned["wave"], wave)


def test_a_model_is_taken_as_well_as_its_graph() -> None:
    class Model:
        graph, mel, wave = vocoder()

    returned = simulate(Model(), {"mel": Model.mel}, library="v60")
    np.testing.assert_array_equal(returned["wave"], Model.wave)


def test_one_simulator_runs_many_feeds_each_as_if_alone() -> None:
    graph, mel, _ = vocoder()
    simulator = Simulator(graph)
    feeds = [{"mel": mel * np.float32(factor)} for factor in (1, 0.1, -3, 1)]
    together = [simulator.run(feed)["wave"] for feed in feeds]
    alone = [simulate(graph, feed)["wave"] for feed in feeds]
    np.testing.assert_array_equal(together, alone)


def test_several_inputs_and_outputs_go_by_name_in_any_order() -> None:
    first = np.array([[-1, 0, 2], [1, -2, 0.5]], np.float32)
    second = np.array([[1, 1, 1], [-1, -1, 0]], np.float32)
    returned = simulate(two_inputs(), {"second": second, "first": first})
    step = 8 / 255
    np.testing.assert_allclose(returned["less"], first - second, atol=1.1 * step)
    np.testing.assert_allclose(returned["relu"], np.maximum(first, 0), atol=step)


def test_taps_hold_every_node_and_say_where_fused_ones_went() -> None:
    graph, mel, wave = vocoder()
    returned, taps = simulate(graph, {"mel": mel}, taps=True, library="v60")
    np.testing.assert_array_equal(returned["wave"], wave)
    for node in graph.nodes:
        if node.outputs:
            assert (node.name in taps) or (node.name in taps.held_by)
    executed = {name for name, _ in taps.executed}
    assert set(taps.held_by.values()) <= executed


def test_a_tap_of_a_relu_that_moved_is_the_convolutions_and_says_so() -> None:
    item = recorded(GOLDEN / "graphs" / "cnn_small.json")
    graph = item.graph
    layout = Layout.plain(4)
    source, sink = graph.nodes[0], graph.nodes[-1]
    shape = source.outputs[0].shape
    first = graph.nodes[1]
    made = [Output(shape, "uint8"), SCALAR, SCALAR]
    graph.nodes[:2] = [Node(first.id, first.name, INPUT_OP, (), tuple(made))]
    data_min_max = graph.nodes[-2].inputs
    graph.nodes[-2:] = [replace(sink, op=OUTPUT_OP, inputs=tuple(data_min_max))]
    graph.inputs = [Interface("x", shape, layout)]
    graph.outputs = [Interface("y", (1, 1, 1, 10), layout)]
    _, taps = simulate(graph, {"x": item.runs[0][0][0]}, taps=True)
    assert len(taps.includes) == 1
    convolution, relu = next(iter(taps.includes.items()))
    assert taps.held_by[relu] == convolution
    assert taps[relu][0] is taps[convolution][0]
    assert taps[relu][1].item() == 0


def test_tensors_are_dropped_after_their_last_reader() -> None:
    graph, mel, _ = vocoder()
    executor = Executor(prepare(graph), "v66")
    zero, one = np.zeros((1, 1, 1, 1), np.float32), np.ones((1, 1, 1, 1), np.int32)
    executor.run([Layout.channels_last(3).pack(mel), zero, zero, one])
    dropped = [slot for step in executor.steps for slot in step.drops]
    assert len(dropped) == len(set(dropped))
    assert all(executor._values[slot] is None for slot in dropped)


@pytest.mark.parametrize(
    ("feeds", "complaint"),
    [
        ({}, "no data for input 'mel'"),
        ({"mel": np.zeros((1, 80, 9)), "mol": np.zeros(3, np.float32)}, "no input 'mol'"),
        ({"mel": None}, r"feeds\['mel'\]=None is not an array"),
        ({"mel": np.zeros((80, 10), np.float32)}, "'mel' has shape"),
        ({"mel": np.zeros((1, 80, 9), np.complex64)}, "is not an array of numbers"),
        ({"mel": "text"}, r"feeds\['mel'\]='text' is not an array"),
        ({"mel": np.full((1, 80, 9), np.nan, np.float32)}, "'mel' contains NaN"),
        ({"mel": np.full((1, 80, 9), np.inf, np.float32)}, "'mel' contains infinity"),
        ({"mel": np.full((1, 80, 9), 1e300)}, "'mel' contains infinity"),
        ({"mel": [[1.0], [2.0, 3.0]]}, r"feeds\['mel'\]=\[.*\] is not an array"),
        ([np.zeros((1, 80, 9), np.float32)], "is not {input: array}"),
    ],
)
def test_bad_feeds_are_rejected_by_name(feeds: object, complaint: str) -> None:
    graph, _, _ = vocoder()
    with pytest.raises(ConfigError, match=complaint):
        simulate(graph, feeds)  # type: ignore[call-overload]


def test_an_unknown_library_and_an_op_without_kernel_are_rejected() -> None:
    graph, mel, _ = vocoder()
    with pytest.raises(HexconvError, match="v67"):
        simulate(graph, {"mel": mel}, library="v67")
    graph.nodes[3] = replace(graph.nodes[3], op="Proposal_f")
    with pytest.raises(GraphError, match="Proposal_f"):
        simulate(graph, {"mel": mel})


def test_an_error_of_a_kernel_names_the_node() -> None:
    made = Builder()
    x = made.quantized("INPUT", [], (1, 2, 2, 8))
    node = made.append("QuantizedPRelu_8", [*x, made.const([0.5], "float32")], [SCALAR] * 3)
    made.append("OUTPUT", [Ref(node.id)], [])
    codes, one = np.zeros((1, 2, 2, 8), np.uint8), np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(GraphError, match=f"node {node.id}"):
        Executor(prepare(made.graph()), "v60").run([codes, -one, one])


def test_run_op_runs_one_node_as_prepare_makes_it() -> None:
    codes = np.arange(64, dtype=np.uint8).reshape(1, 2, 4, 8)
    low, high = (np.full((1, 1, 1, 1), v, np.float32) for v in (-1, 1))
    out, out_low, out_high = run_op("QuantizedRelu_8", [codes, low, high])
    np.testing.assert_array_equal(out, np.maximum(codes, 128))
    assert (out_low.item(), out_high.item()) == (-1, 1)


def test_run_op_takes_padding_by_its_name_and_splits_in_two_unless_told_otherwise() -> None:
    codes = np.arange(96, dtype=np.uint8).reshape(1, 2, 4, 12)
    low, high = (np.full((1, 1, 1, 1), v, np.float32) for v in (-1, 1))
    axis = np.full((1, 1, 1, 1), 3, np.int32)
    window = np.zeros((1, 1, 2, 1), np.uint8)
    pooled = run_op("QuantizedMaxPool_8", [codes, low, high, window, window], "NN_PAD_VALID")
    np.testing.assert_array_equal(pooled[0], codes[:, :, 1::2])
    halves = run_op("QuantizedSplit_8", [axis, codes, low, high])
    assert [a.shape for a in halves[:2]] == [(1, 2, 4, 6)] * 2
    third = Output((1, 2, 4, 4), "uint8")
    thirds = run_op(
        "QuantizedSplit_8", [axis, codes, low, high], outputs=[third] * 3 + [SCALAR] * 2
    )
    np.testing.assert_array_equal(np.concatenate(thirds[:3], 3), codes)


def test_run_op_rejects_unknown_arguments_clearly() -> None:
    codes, one = np.zeros((1, 2, 4, 12), np.uint8), np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(GraphError, match="NN_PAD_ODD"):
        run_op("QuantizedRelu_8", [codes, -one, one], "NN_PAD_ODD")
    with pytest.raises(GraphError, match="2 inputs"):
        run_op("QuantizedRelu_8", [codes, -one])
    with pytest.raises(GraphError, match="3 axes"):
        run_op("QuantizedRelu_8", [codes[0], -one, one])
    with pytest.raises(GraphError, match="QuantizedRelu_9"):
        run_op("QuantizedRelu_9", [codes, -one, one])


def test_what_is_declared_of_mace_s_output_node_changes_nothing() -> None:
    ends = [np.full((1, 1, 1, 1), value, np.float32) for value in (-1.0, 1.0)]
    arrays = [np.arange(8, dtype=np.uint8).reshape(1, 1, 1, 8), *ends]
    declared = [Output((1, 1, 1, 8), "float32"), *[Output((1, 1, 1, 1), "float32")] * 2]
    alone = run_op("DequantizeOUTPUT_8tof", arrays)
    told = run_op("DequantizeOUTPUT_8tof", arrays, outputs=declared)
    assert [a.tobytes() for a in alone] == [a.tobytes() for a in told]


def test_a_watcher_sees_every_node_and_may_replace_what_its_readers_get() -> None:
    graph, mel, _ = vocoder()
    simulator, feeds = Simulator(graph), {"mel": mel}
    seen: list[str] = []

    def watch(node: Node, results: list[Array]) -> list[Array]:
        seen.append(node.op)
        return [np.zeros_like(results[0]), *results[1:]]

    plain = simulator.run(feeds)
    watched = simulator.run_watched(feeds, watch)
    assert seen[0] == "QuantizeINPUT_f_to_8" and len(seen) > 3
    (name,) = plain
    assert np.unique(watched[name]).size == 1 < np.unique(plain[name]).size
