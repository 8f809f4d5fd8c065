"""Inputs that no sample is like: the simulator and the real library return the same, errors too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.device import Library
from hexconv.errors import ConfigError, GraphError, HexconvError
from hexconv.model import Model
from hexconv.simulator import Simulator
from tests import real_library
from tests.lowering.proof import Array, ints, model, numbers

pytestmark = real_library.NEEDED
node = helper.make_node
Feeds = dict[str, Array]
SCALES = (1e-12, 1e-9, 1e-6, 1e-3, 0.1, 1.0, 3.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)


def conv() -> onnx.ModelProto:
    weights = {"w": numbers((8, 6, 3)), "b": numbers((8,))}
    nodes = [node("Conv", ["x", "w", "b"], ["h"], pads=[1, 1]), node("Relu", ["h"], ["y"])]
    return model(nodes, {"x": (1, 6, 20)}, ["y"], weights)


def added() -> onnx.ModelProto:
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("Add", ["h", "z"], ["y"])]
    return model(nodes, {"x": (1, 7, 12), "z": (1, 7, 8)}, ["y"], {"w": numbers((12, 8))})


def features() -> onnx.ModelProto:
    consts = {"m": numbers((12,)), "d": np.abs(numbers((12,), 2)) + np.float32(0.5)}
    nodes = [node("Sub", ["x", "m"], ["h"]), node("Div", ["h", "d"], ["y"])]
    return model(nodes, {"x": (1, 20, 12)}, ["y"], consts)


def norm() -> onnx.ModelProto:
    consts = {"s": np.ones(64, np.float32), "b": np.zeros(64, np.float32)}
    nodes = [node("LayerNormalization", ["x", "s", "b"], ["y"])]
    return model(nodes, {"x": (1, 20, 64)}, ["y"], consts)


def attention() -> onnx.ModelProto:
    nodes = [
        node("Transpose", ["x"], ["k"], perm=[0, 2, 1]),
        node("MatMul", ["x", "k"], ["a"]),
        node("Mul", ["a", "scale"], ["s"]),
        node("Softmax", ["s"], ["p"], axis=-1),
        node("MatMul", ["p", "x"], ["y"]),
    ]
    return model(nodes, {"x": (1, 200, 16)}, ["y"], {"scale": np.array(0.02, np.float32)})


def gru() -> onnx.ModelProto:
    consts = {
        "w": numbers((1, 24, 6)) / 4,
        "r": numbers((1, 24, 8), 2) / 4,
        "b": numbers((1, 48), 3) / 4,
        "axes": ints(0),
    }
    nodes = [
        node("Unsqueeze", ["x", "axes"], ["step"]),
        node("GRU", ["step", "w", "r", "b", "", "h"], ["", "y"], hidden_size=8),
    ]
    return model(nodes, {"x": (1, 6), "h": (1, 1, 8)}, ["y"], consts)


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "Conv": conv,
    "Linear and a second input": added,
    "feature normalization": features,
    "norm of rows around a mean": norm,
    "flat attention": attention,
    "GRU step": gru,
}


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest) -> tuple[Model, Feeds]:
    """A converted model and a sample."""
    proto = MODELS[request.param]()
    sizes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in proto.graph.input}
    samples = []
    for seed in range(4):
        feeds = {name: numbers(size, seed + 7) for name, size in sizes.items()}
        if request.param.startswith("norm"):
            loudness = np.exp(np.random.default_rng(seed).uniform(-3, 0, (1, 20, 1)))
            feeds = {"x": ((feeds["x"] + 1.0) * loudness).astype(np.float32)}
        samples.append(feeds)
    return hexconv.convert(proto, samples=samples), samples[0]


@pytest.fixture(scope="module")
def library() -> Library:
    return Library()


def unusual(sample: Feeds) -> Iterator[tuple[str, Feeds]]:
    """At every loudness, silent, one value, constants; each input silent beside the others."""
    for scale in SCALES:
        yield f"{scale:g}", {name: value * np.float32(scale) for name, value in sample.items()}
    for number in (0.0, 1.0, -1.0, 1e-6, -300.0):
        yield f"all {number:g}", {n: np.full_like(v, number) for n, v in sample.items()}
    for size in (1.0, -1.0):
        hot = {n: np.zeros_like(v) for n, v in sample.items()}
        for value in hot.values():
            value.flat[value.size // 2] = size
        yield f"one value {size:g}", hot
    for name, value in sample.items():
        yield f"{name} silent", {**sample, name: np.zeros_like(value)}
        yield f"{name} at 1e-6", {**sample, name: value * np.float32(1e-6)}


def outcome(run: Callable[[Any], dict[str, Array]], feeds: Any) -> dict[str, Array] | HexconvError:
    try:
        return run(feeds)
    except HexconvError as error:
        return error


def test_unusual_inputs_give_the_same_bits_or_an_error_of_both(
    made: tuple[Model, Feeds], library: Library
) -> None:
    converted, sample = made
    simulator = Simulator(converted, library.version)
    for name, feeds in unusual(sample):
        ours = outcome(simulator.run, feeds)
        real = outcome(lambda given: library.run(converted, given), feeds)
        if isinstance(ours, HexconvError) or isinstance(real, HexconvError):
            assert isinstance(ours, HexconvError) and isinstance(real, HexconvError), name
            assert name in ("100", "1000", "10000", "100000", "1e+06", "all -300"), name
            if isinstance(real, GraphError):  # found before the run
                assert str(ours) == str(real), name
            continue
        for output, value in ours.items():
            np.testing.assert_array_equal(real[output], value, name)


def bad(sample: Feeds) -> Iterator[Any]:
    """What is no input of the model."""
    (first, value), *_ = sample.items()
    for number in (np.nan, np.inf, -np.inf):
        broken = value.copy()
        broken.flat[-1] = number
        yield {**sample, first: broken}
    yield {**sample, first: value[..., :-1]}
    yield {**sample, first: value[0]}
    yield {**sample, first: value[..., :0]}
    yield {**sample, first: value.astype(str)}
    yield {**sample, first: value.astype(np.complex64)}
    yield {**sample, first: [[1.0], [2.0, 3.0]]}
    yield {**sample, first: None}
    yield {name: given for name, given in sample.items() if name != first}
    yield {**sample, "other": value}
    yield {}


def test_bad_inputs_are_the_same_error(made: tuple[Model, Feeds], library: Library) -> None:
    converted, sample = made
    for feeds in bad(sample):
        ours = outcome(lambda given: hexconv.simulate(converted, given), feeds)
        real = outcome(lambda given: library.run(converted, given), feeds)
        assert isinstance(ours, ConfigError) and isinstance(real, ConfigError)
        assert str(ours) == str(real)
