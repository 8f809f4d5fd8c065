"""One conversion's range file serves every level of optimization, and QDQ."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper

import hexconv
from hexconv import cli
from hexconv.calibrate import observe, read_ranges, with_values_of
from hexconv.models.encoder import EncoderConfig, reference_encoder, sample_speech
from hexconv.onnx_graph import load
from hexconv.qdq import to_qdq
from hexconv.settings import OBSERVERS, Observer, OptimizeLevel
from tests.lowering.proof import model, numbers, one

CONFIG = EncoderConfig(frames=16, width=32, feed_forward=48, blocks=1, labels=11)
FEEDS = [{"speech": x} for x in sample_speech(3, CONFIG, seed=1)]
LEVELS: tuple[OptimizeLevel, ...] = ("none", "default", "all")


def norms() -> onnx.ModelProto:
    """What is recognized, decomposed and moved into weights: SiLU, a norm, a log of a softmax."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["s"]),
        helper.make_node("Mul", ["a", "s"], ["silu"]),
        helper.make_node("LayerNormalization", ["silu", "g", "b"], ["n"], axis=-1),
        helper.make_node("MatMul", ["n", "v"], ["m"]),
        helper.make_node("Softmax", ["m"], ["p"], axis=-1),
        helper.make_node("Log", ["p"], ["y"]),
    ]
    consts = {"w": numbers((8, 16), 1), "v": numbers((16, 6), 2)}
    consts |= {"g": 1.0 + np.abs(numbers((16,), 3)), "b": numbers((16,), 4)}
    return model(nodes, {"x": (1, 12, 8)}, ["y"], consts)


def feeds(count: int = 3) -> list[dict[str, np.ndarray]]:
    return [{"x": numbers((1, 12, 8), 20 + seed)} for seed in range(count)]


CASES = {"encoder": (lambda: reference_encoder(CONFIG), FEEDS), "norms": (norms, feeds())}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", CASES)
def test_the_file_of_one_level_serves_all(name: str, level: OptimizeLevel, tmp_path: Path) -> None:
    """Without a warning: nothing is measured on random data."""
    make, samples = CASES[name]
    written = hexconv.convert(make(), samples=samples, optimize=level)
    written.save(tmp_path)
    file = tmp_path / f"{written.name}.ranges"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = {to: hexconv.convert(make(), ranges=file, optimize=to) for to in LEVELS[:2]}
        _, told = to_qdq(make(), ranges=file)
    assert not told
    if level in again:
        consts = [[c.array.tobytes() for c in m.graph.consts] for m in (written, again[level])]
        assert consts[0] == consts[1]


def scaled_norm() -> onnx.ModelProto:
    """A norm and a product of it, each of which a level computes in another way."""
    nodes = [
        helper.make_node("LayerNormalization", ["x", "g", "b"], ["n"], axis=-1),
        helper.make_node("Erf", ["n"], ["e"]),
        helper.make_node("Mul", ["n", "e"], ["y"]),
    ]
    consts = {"g": np.ones(8, np.float32), "b": np.zeros(8, np.float32)}
    return model(nodes, {"x": (1, 12, 8)}, ["y"], consts)


@pytest.mark.parametrize("make", [norms, scaled_norm])
def test_the_file_of_calibrate_serves_all_levels(
    make: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    onnx.save(make(), str(tmp_path / "m.onnx"))
    np.save(tmp_path / "x.npy", np.stack([feed["x"] for feed in feeds()]))
    file = tmp_path / "m.ranges"
    words = ["calibrate", str(tmp_path / "m.onnx"), "--samples", str(tmp_path / "x.npy")]
    result = CliRunner().invoke(cli.group, [*words, "-o", str(file)])
    assert result.exit_code == 0, result.output
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for level in LEVELS[:2]:
            hexconv.convert(tmp_path / "m.onnx", ranges=file, optimize=level)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_removed_tensors_have_the_ranges_of_the_model_as_it_was_exported(
    observer: Observer, tmp_path: Path
) -> None:
    plain = observe(load(norms(), recognize=False), feeds(), observer)
    found = hexconv.convert(norms(), samples=feeds(), observer=observer)
    found.save(tmp_path)
    ranges = read_ranges(tmp_path / f"{found.name}.ranges")
    for name in ("a", "s", "silu", "n", "m", "p", "y"):
        np.testing.assert_allclose(ranges[name], plain[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_values_of_one_name_are_computed_once() -> None:
    graph = load(norms())
    joined = with_values_of(graph, [load(norms(), recognize=False)])
    names = joined.computed_values()
    assert len(names) == len(set(names)) and "s" in names and "s" not in graph.computed_values()
    assert len({node.name for node in joined.nodes}) == len(joined.nodes)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_what_only_another_level_has_may_overflow(observer: Observer) -> None:
    """Of the model itself it is an error; behind it, what follows has no range either."""
    graph = load(one("Relu", (1, 4)))
    nodes = [helper.make_node("Exp", ["x"], ["e"]), helper.make_node("Relu", ["e"], ["z"])]
    joined = with_values_of(graph, [load(model(nodes, {"x": (1, 4)}, ["z"], {}))])
    samples = [{"x": np.full((1, 4), value, np.float32)} for value in (1.0, 1000.0, 2.0)]
    found = observe(joined, samples, observer, optional={"e", "z"})
    assert found["x"][1] == pytest.approx(1000.0, rel=0.6) and not found.keys() & {"e", "z"}
    with pytest.raises(hexconv.errors.RangeError, match="'e' becomes NaN or infinite"):
        observe(joined, samples, observer)
