"""Models of one chunk: states outside, and chunks that give what the whole sequence gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import hexconv
from hexconv.errors import ConfigError, RangeError
from tests.cli.converting import process
from tests.lowering.proof import numbers
from tests.onnx_graph.models import original_outputs

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
INPUT, HIDDEN, FRAMES, CHUNK = 6, 8, 24, 2


def recurrent(op: str, **attrs: Any) -> tuple[onnx.NodeProto, dict[str, Any]]:
    rows = GATES[op] * HIDDEN
    consts = {
        "w": numbers((1, rows, HIDDEN), 1) / 3,
        "r": numbers((1, rows, HIDDEN), 2) / 3,
        "b": numbers((1, 2 * rows), 3) / 4,
    }
    names = ["p", "w", "r", "b"]
    return helper.make_node(op, names, ["s"], name="rnn", hidden_size=HIDDEN, **attrs), consts


def network(
    op: str = "GRU",
    before: list[onnx.NodeProto] | None = None,
    frames: Any = "frames",
    batch_first: bool = False,
    **attrs: Any,
) -> onnx.ModelProto:
    """A Linear, a recurrent node and a Linear: x [batch, frames, input] -> y of the same axes."""
    node, consts = recurrent(op, **({"layout": 1} if batch_first else {}), **attrs)
    make = helper.make_node
    turn = {"perm": [1, 0, 2]}
    nodes = [
        *(before or [make("Identity", ["x"], ["z"])]),
        make("MatMul", ["z", "enter"], ["q"]),
        make("Identity", ["q"], ["p"]) if batch_first else make("Transpose", ["q"], ["p"], **turn),
        node,
        make("Squeeze", ["s", "two" if batch_first else "one"], ["t"]),
        make("Identity", ["t"], ["u"]) if batch_first else make("Transpose", ["t"], ["u"], **turn),
        make("MatMul", ["u", "leave"], ["y"]),
    ]
    consts |= {"enter": numbers((INPUT, HIDDEN), 4) / 2, "leave": numbers((HIDDEN, 5), 5)}
    consts |= {"one": np.array([1]), "two": np.array([2])}
    consts |= {"kernel": numbers((INPUT, 1, 3), 6)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", 1, ["batch", frames, INPUT])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in consts.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def sequences(count: int = 3) -> list[dict[str, Any]]:
    return [{"x": numbers((1, FRAMES, INPUT), seed)} for seed in range(count)]


def sqnr(expected: Any, found: Any) -> float:
    return float(10 * np.log10((expected**2).sum() / ((expected - found) ** 2).sum()))


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("chunk", [1, CHUNK])
def test_chunks_and_the_unrolled_model_agree_within_rounding(op: str, chunk: int) -> None:
    proto, samples = network(op), sequences()
    step = hexconv.convert(proto, {"x": (1, chunk, INPUT)}, samples, stateful=True)
    states = ["rnn/h_in", "rnn/c_in"] if op == "LSTM" else ["rnn/h_in"]
    assert [item.name for item in step.graph.inputs] == ["x", *states]
    assert step.axes == {"x": 1, "y": 1}
    whole = hexconv.convert(proto, {"x": (1, FRAMES, INPUT)}, samples)
    streamed = hexconv.stream(step, samples[0])["y"]
    unrolled = hexconv.simulate(whole, samples[0])["y"]
    (expected,) = original_outputs(proto, samples[0])
    assert streamed.shape == expected.shape == unrolled.shape
    assert min(sqnr(expected, streamed), sqnr(expected, unrolled)) > 28
    assert sqnr(unrolled, streamed) > 25


def test_batch_first_and_a_fixed_length_in_the_file() -> None:
    proto = network("GRU", frames=FRAMES, batch_first=True)
    step = hexconv.convert(proto, {"x": (1, 1, INPUT)}, sequences(), stateful=True)
    assert step.graph.inputs[1].shape == (1, 1, HIDDEN)
    assert hexconv.stream(step, sequences()[0])["y"].shape == (1, FRAMES, 5)


def test_the_files_run_without_the_conversion(tmp_path: Path) -> None:
    step = hexconv.convert(network(), {"x": (1, 1, INPUT)}, sequences(), stateful=True, name="net")
    step.save(tmp_path)
    loaded = hexconv.load(tmp_path / "net.pb")
    with pytest.raises(ConfigError, match="the axis of time is not known"):
        hexconv.stream(loaded, sequences()[0])
    found = hexconv.stream(loaded, sequences()[0], {"x": 1, "y": 1})["y"]
    np.testing.assert_array_equal(found, hexconv.stream(step, sequences()[0])["y"])
    assert (tmp_path / "net.reference.onnx").exists()


def test_the_command_runs_a_sequence_in_chunks(tmp_path: Path) -> None:
    proto, samples = network(), sequences()
    step = hexconv.convert(proto, {"x": (1, 2, INPUT)}, samples, stateful=True, name="net")
    step.save(tmp_path)
    np.save(tmp_path / "x.npy", samples[0]["x"])
    words = ["simulate", f"{tmp_path}/net.pb", "--input", f"{tmp_path}/x.npy", "--stream", "x=1"]
    done = process(*words, "--stream", "y=1", "-o", f"{tmp_path}/out")
    assert done.returncode == 0, done.stderr
    expected = hexconv.stream(step, samples[0])
    found = np.load(tmp_path / "out" / "y.npy")
    np.testing.assert_array_equal(found, expected["y"])
    last = process(*words, "-o", f"{tmp_path}/last")
    assert last.returncode == 0, last.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "last" / "y.npy"), expected["y"][:, -2:])


@pytest.mark.parametrize(
    ("frames", "axes", "told"),
    [
        (FRAMES, {"x": 3}, "'x' has no axis 3"),
        (FRAMES, {"z": 1}, "no input or output 'z'"),
        (FRAMES, {"y": 1}, "the axis of time is not known"),
        (1, {"x": 1}, "'x' has 1 frames, less than one chunk of 2"),
        (0, {"x": 1}, "'x' has 0 frames"),
    ],
)
def test_a_sequence_that_does_not_fit_is_an_error(
    frames: int, axes: dict[str, int], told: str
) -> None:
    step = hexconv.convert(network(), {"x": (1, 2, INPUT)}, sequences(), stateful=True)
    with pytest.raises(ConfigError, match=told):
        hexconv.stream(step, {"x": np.zeros((1, frames, INPUT), np.float32)}, axes)
    with pytest.raises(ConfigError, match="a chunk has"):
        hexconv.stream(step, {"x": np.zeros((4, INPUT), np.float32)}, {"x": 1})


@pytest.mark.parametrize(
    ("proto", "told"),
    [
        (network("GRU", direction="reverse"), "'rnn' is reverse"),
        (
            network(
                before=[
                    helper.make_node("Transpose", ["x"], ["a"], perm=[0, 2, 1]),
                    helper.make_node("Conv", ["a", "kernel"], ["c"], pads=[1, 1], group=INPUT),
                    helper.make_node("Transpose", ["c"], ["z"], perm=[0, 2, 1]),
                ]
            ),
            "do not give the output 'y' of the whole",
        ),
        (
            network(
                before=[
                    helper.make_node("ReduceMean", ["x"], ["m"], axes=[1]),
                    helper.make_node("Sub", ["x", "m"], ["z"]),
                ]
            ),
            "do not give the output 'y' of the whole",
        ),
    ],
)
def test_what_cannot_run_in_chunks_is_an_error(proto: onnx.ModelProto, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        hexconv.convert(proto, {"x": (1, 1, INPUT)}, sequences(), stateful=True)


def test_a_model_without_a_recurrent_node_is_an_error() -> None:
    proto = helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", 1, [1, 4])],
            [helper.make_empty_tensor_value_info("y")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    with pytest.raises(ConfigError, match="has no LSTM, GRU or RNN"):
        hexconv.convert(proto, stateful=True)


def test_a_sequence_shorter_than_a_chunk_is_an_error() -> None:
    short = [{"x": numbers((1, 1, INPUT))}]
    with pytest.raises(RangeError, match="shorter than one chunk"):
        hexconv.convert(network(), {"x": (1, 2, INPUT)}, short, stateful=True)
