"""Outputs at other levels of the inputs, and over a stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper

import hexconv
from hexconv.cli import group
from hexconv.compare.levels import BROKEN, LevelRow, at_levels, drift, over_stream
from hexconv.errors import ConfigError
from tests.lowering.proof import Array, model, numbers

SHAPE = (1, 6, 8)


def linear() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Add", ["h", "b"], ["y"]),
    ]
    consts = {"w": numbers((8, 8)), "b": numbers((8,), 2)}
    return model(nodes, {"x": SHAPE}, ["y"], consts)


def recurrent() -> onnx.ModelProto:
    """new = tanh(x W + h V)."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("MatMul", ["h", "v"], ["c"]),
        helper.make_node("Add", ["a", "c"], ["s"]),
        helper.make_node("Tanh", ["s"], ["new"]),
    ]
    scale = np.float32(0.3)
    consts = {"w": numbers((8, 8)) * scale, "v": numbers((8, 8), 3) * scale}
    return model(nodes, {"x": (1, 8), "h": (1, 8)}, ["new"], consts)


def chunks(count: int = 12) -> list[dict[str, Array]]:
    return [
        {"x": numbers((1, 8), seed), "h": np.tanh(numbers((1, 8), 90 + seed))}
        for seed in range(count)
    ]


def test_a_linear_layer_is_right_down_to_silence() -> None:
    samples = [{"x": numbers(SHAPE, seed)} for seed in range(4)]
    rows = at_levels(hexconv.convert(linear(), samples=samples), linear(), samples)
    low = min(float(sample["x"].min()) for sample in samples) / 2
    high = max(float(sample["x"].max()) for sample in samples) / 2
    scaled = ["x x 0", "x x 0.001", "x x 0.1", "x x 1", "x x 10"]
    constant = [f"x = {low:g} everywhere", f"x = {high:g} everywhere"]
    assert [row.what for row in rows] == scaled + constant
    # a level of the output, and of the ten times larger input three
    assert all(row.steps < (1.0 if row.what != "x x 10" else 4.0) for row in rows)


def by_its_mean() -> onnx.ModelProto:
    nodes = [
        helper.make_node("ReduceMean", ["x", "axis"], ["m"], keepdims=1),
        helper.make_node("Mul", ["x", "m"], ["y"]),
    ]
    return model(nodes, {"x": (1, 256, 8)}, ["y"], {"axis": np.array([1])})


def test_a_constant_whose_mean_calibration_never_saw_is_named() -> None:
    samples = [{"x": numbers((1, 256, 8), seed)} for seed in range(2)]
    source = by_its_mean()
    rows = at_levels(hexconv.convert(source, samples=samples), source, samples)
    constant = [row for row in rows if "everywhere" in row.what]
    assert len(constant) == 2
    assert all(row.broken for row in constant)
    assert not any(row.broken for row in rows if row.what == "x x 1")


def test_a_constant_that_calibration_saw_is_right() -> None:
    samples = [{"x": numbers((1, 256, 8), seed)} for seed in range(2)]
    samples += [{"x": np.full_like(samples[0]["x"], value)} for value in (-4.0, 4.0)]
    source = by_its_mean()
    rows = at_levels(hexconv.convert(source, samples=samples), source, samples)
    assert not any(row.broken for row in rows if "everywhere" in row.what)


def test_an_error_of_the_dsp_and_a_large_one_are_marked() -> None:
    assert LevelRow("x x 10", "y", 3.0, BROKEN + 1.0).broken
    assert LevelRow("x x 10", "y", -200.0, 255.0, "too narrow").broken
    assert not LevelRow("x x 10", "y", 30.0, 1.0).broken


def test_a_stream_feeds_its_states_back_and_starts_at_zero() -> None:
    made = hexconv.convert(recurrent(), samples=chunks())
    rows = over_stream(made, recurrent(), chunks(), {"new": "h"})
    assert [row.what for row in rows] == [f"step {number}" for number in range(12)]
    first, early, late = drift(rows)["new"]
    assert first == rows[0].steps < 3.0
    assert max(early, late) < 4.0


@pytest.mark.parametrize("states", [{"old": "h"}, {"new": "g"}])
def test_an_unknown_state_is_named_with_those_that_there_are(states: dict[str, str]) -> None:
    made = hexconv.convert(recurrent(), samples=chunks())
    with pytest.raises(ConfigError, match=r"the model has no (output 'old'|input 'g')"):
        over_stream(made, recurrent(), chunks(), states)


def test_the_command_prints_a_line_a_level_and_the_drift_of_a_state(tmp_path: Path) -> None:
    source, samples = tmp_path / "m.onnx", tmp_path / "samples"
    onnx.save(recurrent(), source)
    samples.mkdir()
    for number, chunk in enumerate(chunks(4)):
        np.savez(samples / f"{number}.npz", **chunk)
    words = ["verify", str(source), "--samples", str(samples)]
    levels = CliRunner().invoke(group, [*words, "--levels"])
    assert "all inputs x 0 " in levels.output
    assert CliRunner().invoke(group, [*words, "--levels", "-q"]).stdout == ""
    csv = CliRunner().invoke(group, [*words, "--levels", "--csv"]).stdout.splitlines()
    assert csv[0] == "what,output,sqnr,steps,error,broken"
    assert len(csv) > len(levels.stdout.splitlines()) - 1
    stream = CliRunner().invoke(group, [*words, "--stream", "new=h"])
    assert stream.exit_code == 0
    assert "new: off by" in stream.output
    wrong = CliRunner().invoke(group, [*words, "--stream", "new"])
    assert wrong.exit_code == 2
    assert "is not OUTPUT=INPUT" in wrong.output
