"""The noise of the outputs by tensor."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.compare.noise import Noise, NoiseMeter
from hexconv.pipeline import prepared
from hexconv.settings import Settings
from tests.lowering.proof import Array, model, numbers

ROWS = 40


def linears() -> onnx.ModelProto:
    """Two outputs, each of its own input: the second has far more noise."""
    nodes = [
        helper.make_node("MatMul", ["a", "w"], ["p"]),
        helper.make_node("Relu", ["p"], ["u"]),
        helper.make_node("MatMul", ["u", "v"], ["y"]),
        helper.make_node("MatMul", ["b", "w"], ["q"]),
        helper.make_node("Exp", ["q"], ["t"]),
        helper.make_node("MatMul", ["t", "v"], ["z"]),
    ]
    consts = {"w": numbers((16, 24), 1) / 3, "v": numbers((24, 8), 2) / 5}
    return model(nodes, {"a": (1, ROWS, 16), "b": (1, ROWS, 16)}, ["y", "z"], consts)


def feeds(count: int) -> list[dict[str, Array]]:
    """Mostly positive, so that what weights are rounded by has a mean."""
    shape = (1, ROWS, 16)
    pairs = [(numbers(shape, n), numbers(shape, 50 + n)) for n in range(count)]
    return [{"a": a / 16 + np.float32(1.0), "b": b / 16 + np.float32(1.0)} for a, b in pairs]


def measured(*, corrected: bool = False) -> Noise:
    proto, samples = linears(), feeds(4)
    found = hexconv.convert(proto, samples=samples)
    graph, _ = prepared(proto, None, Settings())
    meter = NoiseMeter(found.graph, graph, "v66", lambda: None, corrected=corrected)
    return meter.measure(samples[:2])


def test_the_noise_of_each_output_counts_alike() -> None:
    shares = {row.tensor: row.share for row in measured().tensors}
    assert sum(shares[name] for name in ("a", "p", "u", "y") if name in shares) == pytest.approx(
        0.5
    )
    assert sum(shares.values()) == pytest.approx(1.0)


def test_mean_errors_that_biases_take_are_no_noise() -> None:
    plain, corrected = measured(), measured(corrected=True)
    assert corrected.predicted > plain.predicted + 0.5
    assert corrected.causes["weights"] < 0.5 * plain.causes["weights"]


def test_of_few_values_the_mean_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexconv.compare.noise.LEAST_VALUES", ROWS + 1)
    assert measured(corrected=True) == measured()


def test_causes_add_up() -> None:
    found = measured(corrected=True)
    assert sum(found.causes.values()) == pytest.approx(1.0)
    row = found.tensors[0]
    assert np.isclose(row.rounding + row.clipping + row.weights + row.arithmetic, 1.0)


def test_what_is_divided_by_0_once_rounded_is_no_noise_of_its_own() -> None:
    """Of a quiet row beside a loud one the mean square is 0 in 8 bits."""
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("ReduceMean", ["square", "last"], ["mean"]),
        helper.make_node("Sqrt", ["mean"], ["root"]),
        helper.make_node("Div", ["x", "root"], ["n"]),
        helper.make_node("MatMul", ["n", "w"], ["y"]),
    ]
    consts = {"last": np.array([-1]), "w": numbers((16, 8), 1)}
    proto = model(nodes, {"x": (1, ROWS, 16)}, ["y", "mean"], consts)
    samples = [{"x": numbers((1, ROWS, 16), seed)} for seed in range(2)]
    for sample in samples:
        sample["x"][0, 0] *= 100.0
    found = hexconv.convert(proto, samples=samples)
    graph, _ = prepared(proto, None, Settings())
    noise = NoiseMeter(found.graph, graph, "v66", lambda: None).measure(samples)
    assert np.isfinite(noise.predicted)
    assert sum(row.share for row in noise.tensors) == pytest.approx(1.0)
