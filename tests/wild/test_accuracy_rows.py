"""The benchmark of accuracy: rows that go on where they were killed, and cut networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from benchmarks.accuracy import measure, peers
from benchmarks.accuracy.__main__ import line
from benchmarks.accuracy.cases import Array, Case, Task
from benchmarks.accuracy.peers import onnx_runtime
from benchmarks.accuracy.trained import _behind
from tests.lowering.proof import model, numbers

WEIGHT = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)


@pytest.fixture
def case() -> Case:
    """Two layers, whose task is the largest error."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["y"]),
    ]
    proto = model(nodes, {"x": [1, 4, 8]}, ["y"], {"w": WEIGHT}, opset=17)
    samples = [{"x": numbers((1, 4, 8), seed)} for seed in range(4)]
    return Case(proto, "y", samples[:2], samples[2:], task=Task("off by", largest))


def largest(expected: Sequence[Array], found: Sequence[Array]) -> float:
    return float(np.abs(np.subtract(expected, found)).max())


def test_a_row_has_all_levels_and_settings_and_measures_none_twice(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows" / "two.json"
    monkeypatch.setattr(measure, "LEVELS", ("minmax", "default"))
    monkeypatch.setattr(peers, "ROUNDING", ("C minmax",))
    monkeypatch.setattr(peers, "PART_FLOAT", ())
    found = measure.Row(case, "v60", None, file).measure()
    assert set(found) == {"minmax", "default", "C minmax"}
    assert all(row["sqnr"] > 25.0 and row["task"] < 0.1 for row in found.values())

    def fails(*_: object) -> list[Array]:
        raise AssertionError("measured twice")

    monkeypatch.setattr(measure, "Simulator", fails)
    monkeypatch.setattr(peers, "quantized", fails)
    assert measure.Row(case, "v60", None, file).measure() == found


def test_a_line_has_the_gain_over_the_best_setting() -> None:
    figures = {
        **{label: {"sqnr": 20.0, "task": 0.2} for label in peers.ROUNDING},
        **{label: {"sqnr": 30.0, "task": 0.1} for label in peers.PART_FLOAT},
        **{level: {"sqnr": 21.0, "packets": 100.0, "task": 0.1} for level in measure.LEVELS},
    }
    figures["C 99.9"]["sqnr"], figures["high"]["packets"] = 20.5, 103.0
    cells = line("net", figures, Task("off by", lambda *_: 0.0)).split(" | ")
    assert cells[1:5] == ["21.0", "21.0", "21.0", "+0.0%, +3.0%"]
    assert cells[-3:] == ["+0.5", "+0.5", "off by 0.1, 0.1, 0.2 |"]


def test_a_setting_that_fails_has_no_figure(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("channels that do not fit")

    assert peers.quantized(case, "C minmax") is not None
    monkeypatch.setattr(onnx_runtime, "quantize_static", fails)
    assert peers.quantized(case, "C minmax") is None
    assert "C minmax: ValueError: channels that do not fit" in capsys.readouterr().err
    levels = {level: {"sqnr": 21.0, "packets": 100.0} for level in measure.LEVELS}
    figures = {label: {"sqnr": 20.0} for label in peers.ROUNDING} | levels
    assert "fails" not in line("net", figures, None)
    assert " | fails | " in line("net", figures | {"C minmax": {}}, None)


def test_the_part_behind_a_tensor_is_a_network(case: Case) -> None:
    part = _behind(case.proto, "hidden", [1, 4, 8])
    hidden = numbers((1, 4, 8), 9)
    session = onnxruntime.InferenceSession(part.SerializeToString())
    assert [node.op_type for node in part.graph.node] == ["Relu"] and not part.graph.initializer
    assert np.array_equal(session.run(None, {"hidden": hidden})[0], np.maximum(hidden, 0))
