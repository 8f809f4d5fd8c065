"""GPTQ on what the DSP sees: weights are rounded for their inputs, and nothing else changes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.model import Model
from hexconv.nnlib.graph import Graph
from hexconv.onnx_graph import load
from hexconv.pipeline import built, prepared
from hexconv.refine.biases import corrected_biases
from hexconv.refine.held_back import Judge
from hexconv.refine.weights import damping, rounded
from hexconv.settings import Settings
from hexconv.tensor_ranges import observed_ranges
from tests.lowering.proof import Array, decibels, model, numbers

CHANNELS, FACTORS = 48, 4
SHAPE = (1, CHANNELS, 24, 24)
MIXED = numbers((CHANNELS, FACTORS), 9)
"""Channels that follow from few factors: their moments are far from diagonal."""
FORMS = {
    "Linear": {"kernel": 1},
    "3x3": {"kernel": 3, "pads": [1, 1, 1, 1]},
    "3x3, stride 2": {"kernel": 3, "pads": [0, 0, 1, 1], "strides": [2, 2]},
    "3x3, no padding": {"kernel": 3},
}


def feeds(count: int, first: int = 0) -> list[dict[str, Array]]:
    made = [np.tensordot(MIXED, numbers((FACTORS, 576), 200 + i), 1) for i in range(count + first)]
    return [{"x": np.float32(x.reshape(SHAPE))} for x in made[first:]]


def net(kernel: int, scale: float = 1.0, **attributes: list[int]) -> onnx.ModelProto:
    """A convolution; every second channel is smaller by `scale`."""
    weights = numbers((24, CHANNELS, kernel, kernel), 1)
    weights[::2] *= np.float32(scale)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv", **attributes)
    return model([node], {"x": SHAPE}, ["y"], {"w": weights, "b": numbers((24,), 2)})


def exact(proto: onnx.ModelProto, samples: list[dict[str, Array]]) -> Model:
    """The model of the default, with what its weights were rounded from."""
    settings = Settings(accuracy="high")
    graph, history = prepared(proto, None, settings)
    observed = observed_ranges(graph, samples, None, settings).ranges
    return built(proto, graph, history, observed, settings, ())


def weight_codes(graph: Graph) -> list[bytes]:
    return [c.array.tobytes() for c in graph.consts if c.name.endswith("/weights")]


def test_errors_are_passed_on_to_alike_inputs() -> None:
    weights, step = numbers((32, 8), 3).astype(np.float64), np.full(8, 0.05)
    inputs = numbers((500, 3), 4) @ numbers((3, 32), 5) + 0.05 * numbers((500, 32), 6)
    moments = (inputs.T @ inputs / 500).astype(np.float64)

    def error(codes: Array) -> float:
        wrong = codes * step - weights
        return float((wrong * (moments @ wrong)).sum())

    found = rounded(weights, moments, step, damping(32, 500))
    assert np.array_equal(found, np.rint(found)) and np.abs(found * step - weights).max() < 3 * 0.05
    assert error(found) < error(np.rint(weights / step)) / 10
    np.testing.assert_array_equal(rounded(weights, np.eye(32), step, 0.01), np.rint(weights / step))


@pytest.mark.parametrize("library", ["v60", "v66"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_the_outputs_of_each_form_are_nearer(form: str, scale: float, library: str) -> None:
    """On samples that it has not seen, with channel scales and without."""
    proto = net(scale=scale, **FORMS[form])  # type: ignore[arg-type]
    plain = exact(proto, feeds(8))
    found, times = corrected_biases(plain.graph, load(proto), feeds(8), library, weights=True)
    assert times == 2 and weight_codes(found) != weight_codes(plain.graph)
    for before, after in zip(plain.graph.consts, found.consts, strict=True):
        assert before == after or before.name.endswith(("/weights", "/bias"))
    judge = Judge(load(proto), feeds(4, first=20), library)
    assert judge.score(found).sqnr > judge.score(plain.graph).sqnr


def smooth(count: int, first: int = 0) -> list[dict[str, Array]]:
    """Images of 3 colors, whose neighbors are alike."""
    made = []
    for seed in range(300 + first, 300 + first + count):
        image = numbers((1, 3, 26, 26), seed)
        image = image[..., :-2, :] + image[..., 1:-1, :] + image[..., 2:, :]
        made.append({"x": image[..., :-2] + image[..., 1:-1] + image[..., 2:]})
    return made


@pytest.mark.parametrize("library", ["v60", "v66"])
def test_a_first_layer_is_rounded_for_its_images(library: str) -> None:
    """Of 3 channels, whose weights have one scale; on other images the error falls by 1 dB."""
    weights = 0.2 * numbers((24, 3, 3, 3), 1)
    weights[0] *= np.float32(8.0)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv", strides=[2, 2])
    consts = {"w": weights, "b": numbers((24,), 2)}
    proto = model([node], {"x": (1, 3, 24, 24)}, ["y"], consts)
    plain = exact(proto, smooth(8))
    found, _ = corrected_biases(plain.graph, load(proto), smooth(8), library, weights=True)
    assert weight_codes(found) != weight_codes(plain.graph)
    judge = Judge(load(proto), smooth(4, first=20), library)
    assert judge.score(found).sqnr > judge.score(plain.graph).sqnr + 1.0


@pytest.mark.parametrize("rows", [32, 64, 128, 256])
def test_few_rows_help_on_others_too(rows: int) -> None:
    """What they say of the moments is damped by how few they are."""
    weights, step = 0.1 * numbers((128, 16), 3).astype(np.float64), np.full(16, 0.01)
    mix = numbers((128, 128), 5)
    inputs = [
        np.maximum(numbers((n, 128), seed) @ mix + 3.0, 0.0).astype(np.float64)
        for n, seed in ((rows, 6), (4000, 7))
    ]
    moments, others = (x.T @ x / len(x) for x in inputs)

    def error(codes: Array) -> float:
        wrong = codes * step - weights
        return float((wrong * (others @ wrong)).sum())

    found = error(rounded(weights, moments, step, damping(128, rows)))
    assert found < 0.8 * error(np.rint(weights / step))
    assert found < error(rounded(weights, moments, step, 0.01))


def test_fewer_positions_than_an_eighth_of_the_inputs_leave_the_weights_alone() -> None:
    proto = net(kernel=3, strides=[8, 8])  # 432 inputs, 9 positions a sample
    for count, changed in ((5, False), (6, True)):
        plain = exact(proto, feeds(count))
        found, _ = corrected_biases(plain.graph, load(proto), feeds(count), "v66", weights=True)
        assert (weight_codes(found) != weight_codes(plain.graph)) is changed


def test_weights_that_are_multiples_of_a_step_stay() -> None:
    """Those of a quantized model are exact."""
    proto = net(kernel=1)
    weights = onnx.numpy_helper.to_array(proto.graph.initializer[0])
    step = np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / 127
    proto.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(np.float32(np.rint(weights / step) * step), "w")
    )
    plain = exact(proto, feeds(8))
    found, _ = corrected_biases(plain.graph, load(proto), feeds(8), "v66", weights=True)
    assert weight_codes(found) == weight_codes(plain.graph)


def test_high_tries_it_and_keeps_no_floats() -> None:
    made = hexconv.convert(net(kernel=1), samples=feeds(16), accuracy="high")
    again = hexconv.convert(net(kernel=1), samples=feeds(16), accuracy="high")
    assert made.conversion is not None
    names = [step.name for step in made.conversion.refined]
    assert "weights rounded for their inputs, and biases" in names
    assert weight_codes(made.graph) == weight_codes(again.graph)
    assert all(const.exact is None for const in made.graph.consts)


def test_simulator_and_library_agree() -> None:
    assert decibels(net(kernel=1), feeds(16), accuracy="high") > 25.0
