"""`--to qdq --accuracy high`: ranges and biases by the error in ONNX Runtime, kept if they help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from hexconv.cli import group
from hexconv.compare.metrics import decibels
from hexconv.errors import ConfigError
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from hexconv.qdq import to_qdq
from hexconv.qdq.biases import corrected_biases
from hexconv.qdq.sessions import opened
from tests.lowering.proof import Array, model, numbers

SHAPE = (1, 8, 10, 10)


def centered(array: Array, axes: tuple[int, ...]) -> Array:
    """Weights that a constant input does not pass: the outputs are small beside the products."""
    return np.float32(array - array.mean(axis=axes, keepdims=True))


def net() -> onnx.ModelProto:
    """Inputs with a large mean, so that rounded weights are off on average; each op with a bias."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ConvTranspose", ["r", "v", "d"], ["t"], strides=[2, 2]),
        helper.make_node("LeakyRelu", ["t"], ["l"], alpha=0.1),
        helper.make_node("Conv", ["l", "u", "e"], ["m"], strides=[2, 2]),
        helper.make_node("Transpose", ["m"], ["p"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["p", "s"], ["f"]),
        helper.make_node("Gemm", ["f", "g", "h"], ["y"], transB=1),
    ]
    consts = {"w": centered(numbers((16, 8, 3, 3), 1) / 4, (1, 2, 3)), "b": numbers((16,), 2) + 4}
    consts |= {"v": centered(numbers((16, 12, 2, 2), 3) / 4, (0,)), "d": numbers((12,), 4) + 4}
    consts |= {"u": centered(numbers((16, 12, 1, 1), 5), (1,)), "e": numbers((16,), 6) + 4}
    consts |= {"g": centered(numbers((6, 16), 7), (1,)), "h": numbers((6,), 8)}
    return model(nodes, {"x": SHAPE}, ["y"], {**consts, "s": np.array([64, 16])})


def feeds(count: int, first: int = 0) -> list[dict[str, Array]]:
    return [{"x": 4 + np.float32(0.3) * numbers(SHAPE, s)} for s in range(first, first + count)]


def sqnr(made: onnx.ModelProto, proto: onnx.ModelProto, samples: list[dict[str, Array]]) -> float:
    session, reference = opened(made), FloatSession(load(proto, recognize=False))
    pairs = [(reference.run(s)["y"], session.run(["y"], s)[0]) for s in samples]
    signal = sum(float((x.astype(np.float64) ** 2).sum()) for x, _ in pairs)
    return decibels(signal, sum(float(((x - y) ** 2).sum()) for x, y in pairs))


@pytest.fixture(scope="module")
def high() -> onnx.ModelProto:
    return to_qdq(net(), samples=feeds(24), accuracy="high")[0]


def test_samples_that_nothing_has_seen_agree(high: onnx.ModelProto) -> None:
    plain = to_qdq(net(), samples=feeds(24))[0]
    others = feeds(12, first=100)
    assert sqnr(high, net(), others) > sqnr(plain, net(), others) + 1.0
    assert [n.op_type for n in high.graph.node] == [n.op_type for n in plain.graph.node]


def test_the_same_samples_give_the_same_bytes(high: onnx.ModelProto) -> None:
    again = to_qdq(net(), samples=iter(feeds(24)), accuracy="high")[0]
    assert again.SerializeToString() == high.SerializeToString()


def test_a_bias_that_is_wrong_is_corrected() -> None:
    plain, spoiled = to_qdq(net(), samples=feeds(12))[0], onnx.ModelProto()
    spoiled.CopyFrom(plain)
    for item in spoiled.graph.initializer:
        if item.data_type == onnx.TensorProto.INT32 and item.name.endswith("_quantized"):
            array = numpy_helper.to_array(item) + np.int32(2000)
            item.CopyFrom(numpy_helper.from_array(array, item.name))
    assert sqnr(spoiled, net(), feeds(4)) < sqnr(plain, net(), feeds(4)) - 5.0
    fixed, times = corrected_biases(spoiled, load(net()), feeds(12))
    assert times == 4
    assert sqnr(fixed, net(), feeds(4)) > sqnr(plain, net(), feeds(4)) - 1.0


def test_where_no_step_helps_the_default_of_all_samples_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hexconv.refine.scores.Score.beats", lambda self, other: False)
    made, warnings = to_qdq(net(), samples=feeds(12), accuracy="high")
    assert made == to_qdq(net(), samples=feeds(12))[0] and not warnings


def test_with_fewer_than_12_samples_the_default_is_kept() -> None:
    made, warnings = to_qdq(net(), samples=feeds(11), accuracy="high")
    assert made == to_qdq(net(), samples=feeds(11))[0]
    assert len(warnings) == 1 and "of 11 samples too few can be held back" in warnings[0]


@pytest.mark.parametrize("samples", [None, feeds(1)])
def test_too_few_samples_are_an_error(samples: Any) -> None:
    with pytest.raises(ConfigError, match='accuracy="high" needs'):
        to_qdq(net(), samples=samples, accuracy="high")


def test_ranges_that_are_given_are_used_as_they_are() -> None:
    ranges = dict.fromkeys(load(net(), recognize=False).computed_values(), (-8.0, 8.0))
    made, _ = to_qdq(net(), samples=feeds(12), ranges=ranges, accuracy="high")
    plain, _ = to_qdq(net(), ranges=ranges)
    scales = [
        {
            i.name: numpy_helper.to_array(i).tobytes()
            for i in m.graph.initializer
            if "scale" in i.name
        }
        for m in (made, plain)
    ]
    assert scales[0] == scales[1]


def test_the_command_line_writes_it(tmp_path: Path, high: onnx.ModelProto) -> None:
    onnx.save(net(), tmp_path / "m.onnx")
    (tmp_path / "s").mkdir()
    for number, sample in enumerate(feeds(24)):
        np.save(tmp_path / "s" / f"{number:02}.npy", sample["x"])
    asked = ["convert", str(tmp_path / "m.onnx"), "--samples", str(tmp_path / "s"), "--to", "qdq"]
    done = CliRunner().invoke(group, [*asked, "--accuracy", "high", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    written = onnx.load(tmp_path / "out" / "m.qdq.onnx")
    assert written.graph.initializer == high.graph.initializer
