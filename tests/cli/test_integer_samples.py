"""Samples of integers and booleans: every command takes them, as the same numbers in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from hexconv.arrays import not_in_float32
from hexconv.cli import group
from hexconv.cpp.bench import read_feed
from hexconv.errors import HexconvError, RangeError

KINDS = ("bool", "uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64")
SHAPE = (1, 4, 8)
TOP = 100


def run(*arguments: object) -> Result:
    """The command's result; its errors are raised."""
    return CliRunner().invoke(
        group, [*map(str, arguments)], catch_exceptions=False, standalone_mode=False
    )


def numbers(kind: str, count: int = 2) -> np.ndarray[Any, Any]:
    """Samples that every type has."""
    top = 2 if kind == "bool" else TOP
    return np.random.default_rng(0).integers(0, top, (count, *SHAPE[1:])).astype(kind)


def saved(folder: Path, kind: str) -> Path:
    """A model whose input is of a type, which it casts to float."""
    ends = [
        helper.make_tensor_value_info("x", getattr(TensorProto, kind.upper()), SHAPE),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE),
    ]
    weight = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["data"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["data", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def outputs(model: Path, samples: Path, folder: Path) -> np.ndarray[Any, Any]:
    run("simulate", model, "--input", samples, "-o", folder)
    found: np.ndarray[Any, Any] = np.load(folder / "y.npy")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_takes_samples_of_the_inputs_own_type(kind: str, tmp_path: Path) -> None:
    source, samples, floats = saved(tmp_path, kind), tmp_path / "own", tmp_path / "floats"
    samples.mkdir()
    floats.mkdir()
    np.save(samples / "a.npy", numbers(kind))
    numbers(kind).astype("<f4").tofile(floats / "a.bin")  # raw files are float32
    made = []
    for given in (samples, floats):
        run("calibrate", source, "--samples", given, "-o", given / "ranges.txt")
        made.append((given / "ranges.txt").read_text())
        run("convert", source, "--samples", given, "-o", given / "out", "-q")
        run("verify", source, "--samples", given)
    assert made[0] == made[1]
    model = samples / "out" / "model.pb"
    assert model.read_bytes() == (floats / "out" / "model.pb").read_bytes()
    np.testing.assert_array_equal(
        outputs(model, samples, tmp_path / "1"), outputs(model, floats, tmp_path / "2")
    )


@pytest.mark.parametrize("kind", KINDS)
def test_bench_takes_integers(kind: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", numbers(kind))
    np.testing.assert_array_equal(read_feed(tmp_path / "x.npy"), numbers(kind).astype(np.float32))


@pytest.mark.parametrize("kind", ["int32", "uint32", "int64", "uint64"])
def test_an_integer_that_float32_rounds_is_an_error(kind: str, tmp_path: Path) -> None:
    source, wrong = saved(tmp_path, kind), tmp_path / "x.npy"
    run("convert", source, "-o", tmp_path / "out", "-q")
    data = numbers(kind)
    data[1, 2, 3] = (1 << 24) + 1
    np.save(wrong, data)
    model = tmp_path / "out" / "model.pb"
    for arguments in (
        ("convert", source, "--samples", wrong, "-o", tmp_path / "other"),
        ("simulate", model, "--input", wrong),
    ):
        with pytest.raises(HexconvError, match="input 'x' contains 16777217") as error:
            run(*arguments)
        assert "float32 cannot hold" in error.value.why
    with pytest.raises(RangeError, match="contains 16777217"):
        read_feed(wrong)


def test_large_integers_that_float32_has_are_data() -> None:
    largest = [np.iinfo(np.int64).min, -(1 << 24), 1 << 25, 3 << 40]
    assert not_in_float32(np.array(largest)) is None
    assert not_in_float32(np.array([1 << 63], np.uint64)) is None
    assert not_in_float32(np.array([np.iinfo(np.uint64).max])) == np.iinfo(np.uint64).max
    assert not_in_float32(np.array([np.iinfo(np.int64).max])) == np.iinfo(np.int64).max
    assert not_in_float32(np.array([-(1 << 24) - 1])) == -(1 << 24) - 1
