"""Channels of unlike sizes in one tensor are scaled alike, and back by the weights behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.calibrate.equalized_channels import equalize
from hexconv.model import Model
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from hexconv.pipeline import prepared
from hexconv.settings import Settings
from hexconv.tensor_ranges import observed_ranges
from tests.lowering.proof import Array, decibels, float_outputs, model, numbers

WIDTH = 32
IMAGE, SIGNAL, ROWS = (1, 8, 12, 12), (1, 8, 40), (1, 20, 8)
SPREADS = (10.0, 100.0, 300.0)


def sizes(spread: float, seed: int = 5) -> Array:
    """One factor for each of the channels, from 1/spread to 1."""
    draw = np.random.default_rng(seed).uniform(-np.log(spread), 0.0, WIDTH)
    return np.exp(draw).astype(np.float32)


def node(op: str, inputs: Sequence[str], output: str, **attrs: object) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), [output], name=output, **attrs)


def weights(*shape: int, seed: int) -> Array:
    return np.float32(0.3) * numbers(shape, seed)


def depthwise(spread: float) -> onnx.ModelProto:
    """Conv, Relu, depthwise Conv of unlike channels, Relu, Conv: what BatchNorm leaves."""
    c = sizes(spread)
    nodes = [
        node("Conv", ["x", "a", "ab"], "h1"),
        node("Relu", ["h1"], "r1"),
        node("Conv", ["r1", "d", "db"], "h2", pads=[1] * 4, group=WIDTH),
        node("Relu", ["h2"], "r2"),
        node("Conv", ["r2", "p"], "y"),
    ]
    consts = {
        "a": weights(WIDTH, 8, 1, 1, seed=1),
        "ab": weights(WIDTH, seed=2),
        "d": weights(WIDTH, 1, 3, 3, seed=3) * c[:, None, None, None],
        "db": weights(WIDTH, seed=4) * c,
        "p": weights(8, WIDTH, 1, 1, seed=6) / c[None, :, None, None],
    }
    return model(nodes, {"x": IMAGE}, ["y"], consts)


def residual(spread: float) -> onnx.ModelProto:
    """A stream of unlike channels that two branches are added to, pooled at the end."""
    c = sizes(spread)
    wide = c[:, None, None, None]
    nodes = [
        node("Conv", ["x", "a", "ab"], "s0"),
        node("Relu", ["s0"], "t0"),
        node("Conv", ["t0", "b"], "b0", pads=[1] * 4),
        node("Add", ["t0", "b0"], "s1"),
        node("LeakyRelu", ["s1"], "t1", alpha=0.1),
        node("MaxPool", ["t1"], "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["m", "p"], "y"),
    ]
    back = 1.0 / c[None, :, None, None]
    consts = {
        "a": weights(WIDTH, 8, 1, 1, seed=1) * wide,
        "ab": weights(WIDTH, seed=2) * c,
        "b": weights(WIDTH, WIDTH, 3, 3, seed=3) * wide * back * np.float32(0.2),
        "p": weights(8, WIDTH, 1, 1, seed=6) * back,
    }
    return model(nodes, {"x": IMAGE}, ["y"], consts)


def transposed(spread: float) -> onnx.ModelProto:
    """A vocoder's stage: LeakyRelu, ConvTranspose to unlike channels, LeakyRelu, Conv."""
    c = sizes(spread)
    nodes = [
        node("ConvTranspose", ["x", "a", "ab"], "u", strides=[2], pads=[1, 1]),
        node("LeakyRelu", ["u"], "l", alpha=0.1),
        node("Conv", ["l", "p"], "y", pads=[1, 1]),
    ]
    consts = {
        "a": weights(8, WIDTH, 4, seed=1) * c[None, :, None],
        "ab": weights(WIDTH, seed=2) * c,
        "p": weights(8, WIDTH, 3, seed=6) / c[None, :, None],
    }
    return model(nodes, {"x": SIGNAL}, ["y"], consts)


def linear(spread: float) -> onnx.ModelProto:
    """Two Linears with a Relu: the feed-forward part of a Transformer."""
    c = sizes(spread)
    nodes = [
        node("MatMul", ["x", "a"], "m"),
        node("Add", ["m", "ab"], "h"),
        node("Relu", ["h"], "r"),
        node("MatMul", ["r", "p"], "n"),
        node("Add", ["pb", "n"], "y"),
    ]
    consts = {
        "a": weights(8, WIDTH, seed=1) * c[None, :],
        "ab": weights(WIDTH, seed=2) * c,
        "p": weights(WIDTH, 8, seed=6) / c[:, None],
        "pb": weights(8, seed=7),
    }
    return model(nodes, {"x": ROWS}, ["y"], consts)


def classifier(spread: float) -> onnx.ModelProto:
    """Conv to unlike channels, Relu, rows of the image as a sequence, and a Linear."""
    c = sizes(spread)
    nodes = [
        node("Conv", ["x", "a", "ab"], "h", pads=[1] * 4),
        node("Relu", ["h"], "r"),
        node("Reshape", ["r", "flat"], "f"),
        node("Transpose", ["f"], "t", perm=[0, 2, 1]),
        node("MatMul", ["t", "p"], "y"),
    ]
    consts = {
        "a": weights(WIDTH, 8, 3, 3, seed=1) * c[:, None, None, None],
        "ab": weights(WIDTH, seed=2) * c,
        "flat": np.array([1, WIDTH, -1]),
        "p": weights(WIDTH, 8, seed=6) / c[:, None],
    }
    return model(nodes, {"x": IMAGE}, ["y"], consts)


FORMS = [
    (classifier, IMAGE, 300.0),
    (depthwise, IMAGE, 300.0),
    (residual, IMAGE, 300.0),
    (transposed, SIGNAL, 300.0),
    (linear, ROWS, 300.0),
]
Form = Callable[[float], onnx.ModelProto]


def feeds(shape: Sequence[int], count: int = 4) -> list[dict[str, Array]]:
    return [{"x": numbers(shape, seed)} for seed in range(10, 10 + count)]


def times(converted: Model) -> int:
    """How many groups were scaled."""
    assert converted.conversion is not None
    found = {item.name: item.times for item in converted.conversion.rewrites}
    return found.get("equalized_channels", 0)


@pytest.mark.parametrize(("form", "shape", "_"), FORMS)
@pytest.mark.parametrize("spread", SPREADS)
def test_channels_of_any_spread_are_as_accurate_as_even_ones(
    form: Form, shape: Sequence[int], _: float, spread: float
) -> None:
    """Simulated, and in the real library where it is at hand."""
    samples = feeds(shape)
    assert decibels(form(spread), samples) > decibels(form(1.0), samples) - 2.0


@pytest.mark.parametrize(("form", "shape", "spread"), FORMS)
def test_the_function_stays_the_same(form: Form, shape: Sequence[int], spread: float) -> None:
    proto, samples = form(spread), feeds(shape)
    graph, _ = prepared(proto, None, Settings())
    observed = observed_ranges(graph, samples, None, Settings()).ranges
    assert equalize(graph, observed) > 0
    expected = float_outputs(proto, samples[0])[0]
    result = FloatSession(graph).run(samples[0])["y"]
    np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("form", "shape", "spread"), FORMS)
def test_even_channels_stay_what_they_are(form: Form, shape: Sequence[int], spread: float) -> None:
    assert times(hexconv.convert(form(1.0), samples=feeds(shape))) == 0
    assert times(hexconv.convert(form(spread), samples=feeds(shape))) > 0
    assert times(hexconv.convert(form(spread), samples=feeds(shape), accuracy="minmax")) == 0
    assert times(hexconv.convert(form(spread), samples=feeds(shape), optimize="none")) == 0


@pytest.mark.parametrize(("form", "shape", "_"), FORMS)
def test_channels_that_spread_threefold_are_scaled(
    form: Form, shape: Sequence[int], _: float
) -> None:
    """They had up to 2 dB less than those of an eightfold spread, which always were."""
    samples = feeds(shape, 8)
    assert times(hexconv.convert(form(3.0), samples=samples)) == 1
    threefold, eightfold = (decibels(form(n), samples, observer="minmax") for n in (3.0, 8.0))
    assert threefold > eightfold - 0.7


def test_a_tensor_that_is_an_output_is_not_scaled() -> None:
    """Its channels keep their sizes, and so do the biases, each of which fits at its own scale."""
    proto = linear(300.0)
    proto.graph.output.append(helper.make_empty_tensor_value_info("r"))
    samples = feeds(ROWS)
    converted = hexconv.convert(proto, samples=samples)
    assert times(converted) == 0
    expected = float_outputs(proto, samples[0])[1]
    error = np.abs(hexconv.simulate(converted, samples[0])["r"] - expected)
    assert error.max() < 0.02 * expected.max()


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "HardSwish", "Softplus"])
def test_functions_that_scaling_would_change_are_left_alone(op: str) -> None:
    proto = linear(300.0)
    next(n for n in proto.graph.node if n.op_type == "Relu").op_type = op
    graph, _ = prepared(proto, None, Settings())
    observed = observed_ranges(graph, feeds(ROWS), None, Settings()).ranges
    assert equalize(graph, observed) == 0


def test_a_channel_that_is_larger_than_its_weights_tell_is_left_alone() -> None:
    """What calibration measures decides: a gain that is not there is none."""
    proto, samples = depthwise(300.0), feeds(IMAGE)
    graph, _ = prepared(proto, None, Settings())
    observed = observed_ranges(graph, samples, None, Settings()).ranges
    copied = load(proto)
    equalize(copied, observed)
    wide = {str(v): (0.0, 1e4) for v in copied.values() if str(v).endswith("/equalized")}
    assert wide
    assert equalize(graph, {**observed, **wide}, measured=True) == 0


def test_a_range_file_of_the_plain_model_still_converts() -> None:
    """Ranges of the file's own tensors alone: nothing is scaled, and nothing is guessed."""
    proto, samples = linear(300.0), feeds(ROWS)
    graph = load(proto, recognize=False)
    observed = observed_ranges(graph, samples, None, Settings()).ranges
    converted = hexconv.convert(proto, ranges=observed)
    assert times(converted) == 0
    made = hexconv.convert(proto, samples=samples)
    again = hexconv.convert(proto, ranges=made.ranges)
    assert times(again) == times(made) > 0
    assert again.graph.consts == made.graph.consts


@pytest.mark.parametrize(("form", "shape", "spread"), FORMS)
def test_verify_compares_the_scaled_tensors(
    form: Form, shape: Sequence[int], spread: float
) -> None:
    proto, samples = form(spread), feeds(shape)
    report = hexconv.verify(hexconv.convert(proto, samples=samples), proto, samples)
    assert not report.unmatched
    assert any(row.tensor.endswith("/equalized") for row in report.layers)
    assert min(row.worst.own.sqnr for row in report.layers) > 25.0


@pytest.mark.parametrize("width", [9, WIDTH])
def test_a_sum_of_channels_on_different_axes_is_right(width: int) -> None:
    """A MatMul along the width, as of a resize, has as many channels as the width, or not."""
    nodes = [
        node("Conv", ["x", "a"], "h"),
        node("Relu", ["h"], "r"),
        node("Conv", ["r", "v"], "b"),
        node("MatMul", ["b", "m"], "c"),
        node("Add", ["b", "c"], "s"),
        node("Relu", ["s"], "t"),
        node("Conv", ["t", "p"], "y"),
    ]
    consts = {
        "a": weights(WIDTH, 8, 1, 1, seed=1) * sizes(100.0)[:, None, None, None],
        "v": weights(WIDTH, WIDTH, 1, 1, seed=4),
        "m": weights(width, width, seed=2),
        "p": weights(8, WIDTH, 1, 1, seed=3),
    }
    shape = (1, 8, 6, width)
    proto, samples = model(nodes, {"x": shape}, ["y"], consts), feeds(shape)
    assert decibels(proto, samples) > decibels(proto, samples, accuracy="minmax") - 1.0
