"""Streams with a large channel that start where nothing scales them, or that the model returns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

import hexconv
from hexconv.calibrate import large_channels, rewritten_copy
from hexconv.onnx_graph.session import FloatSession
from hexconv.pipeline import prepared
from hexconv.settings import Accuracy, Settings
from hexconv.simulator import Simulator
from hexconv.tensor_ranges import observed_ranges
from tests.calibrate.test_outlier_channels import LARGE, TOKENS, WIDTH, Net, feeds, streams
from tests.lowering.proof import Array, decibels, model, numbers

Start = Callable[[Net], str]


def relu(net: Net) -> str:
    return net.op("Relu", ["x"], "start")


def class_token(net: Net) -> str:
    net.const("class", 0.5 * numbers((1, 1, WIDTH), 88))
    for name, number in (("first", 1), ("end", TOKENS), ("axis", 1)):
        net.consts[name] = np.array([number])
    rest = net.op("Slice", ["x", "first", "end", "axis"], "rest")
    return net.op("Concat", ["class", rest], "start", axis=1)


STARTS: dict[str, Start] = {"an input": lambda _: "x", "a relu": relu, "a concat": class_token}


def pre_norm(start: Start = STARTS["an input"], *more: str) -> onnx.ModelProto:
    """A stream whose first norm reads a tensor that no weights make."""
    net = Net()
    x = net.pre_norm_layers(start(net), LARGE)
    y = net.linear(net.norm(x, "end_norm"), "y", WIDTH, 8)
    return model(net.nodes, {"x": (1, TOKENS, WIDTH)}, [y, *more], net.consts, opset=17)


def own_norm(net: Net, x: str, name: str) -> str:
    """A layer norm of single nodes, whose mean the model returns as well."""
    net.consts["axes"], net.consts["small"] = np.array([-1]), np.float32(1e-5)
    mean = net.op("ReduceMean", [x, "axes"], f"{name}.mean", keepdims=1)
    centered = net.op("Sub", [x, mean], f"{name}.d")
    squares = net.op("Mul", [centered, centered], f"{name}.q")
    variance = net.op("ReduceMean", [squares, "axes"], f"{name}.v", keepdims=1)
    root = net.op("Sqrt", [net.op("Add", [variance, "small"], f"{name}.e")], f"{name}.r")
    return net.op("Div", [centered, root], name)


def with_mean() -> onnx.ModelProto:
    net, x = Net(), "x"
    x = net.op("Add", [x, net.feed_forward(net.norm(x, "n"), "ff", LARGE)], "s")
    x = net.op("Add", [x, net.feed_forward(own_norm(net, x, "o"), "gg", 0.0)], "t")
    y = net.linear(net.norm(x, "end_norm"), "y", WIDTH, 8)
    return model(net.nodes, {"x": (1, TOKENS, WIDTH)}, [y, "o.mean"], net.consts, opset=18)


PROTOS: dict[str, Callable[[], onnx.ModelProto]] = {
    **{f"starts at {name}": lambda start=start: pre_norm(start) for name, start in STARTS.items()},
    "is returned": lambda: pre_norm(STARTS["an input"], "1.s"),
    "has a mean that is returned": with_mean,
}


@pytest.fixture(scope="module", params=PROTOS)
def proto(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return PROTOS[request.param]()


def test_the_scaled_network_is_the_same_function(proto: onnx.ModelProto) -> None:
    graph, _ = prepared(proto, None, Settings())
    samples = feeds("post", 8)
    found = observed_ranges(graph, samples, None, Settings()).ranges
    found |= large_channels(graph, found, samples)
    copy = rewritten_copy(graph, found, equalized=True)
    names = [output.name for output in proto.graph.output]
    assert copy is not None and [output.name for output in copy.outputs] == names
    for sample in feeds("post", 3, first=20):
        wanted, made = (FloatSession(item, names).run(sample) for item in (graph, copy))
        for name in names:
            np.testing.assert_allclose(made[name], wanted[name], rtol=1e-4, atol=2e-4)


def test_it_gains_6_db_on_samples_that_nothing_has_seen(proto: onnx.ModelProto) -> None:
    """`decibels` compares with the library as well, where it is at hand."""
    made, held = hexconv.convert(proto, samples=feeds("post", 8)), feeds("post", 4, first=40)
    assert streams(made) == 1
    plain = decibels(proto, held, ranges=made.ranges, accuracy="minmax")
    assert decibels(proto, held, ranges=made.ranges) > plain + 6.0


def test_a_range_file_gives_the_same_bytes(proto: onnx.ModelProto) -> None:
    made = hexconv.convert(proto, samples=feeds("post", 8))
    again = hexconv.convert(proto, ranges=made.ranges)
    assert again.graph.consts == made.graph.consts


def post_norm_of_parts() -> onnx.ModelProto:
    """Root mean square norms of single nodes, with a gamma: named otherwise at each level."""
    net, x = Net(), "x"
    net.consts["axes"], net.consts["small"] = np.array([-1]), np.float32(1e-5)
    for layer in range(2):
        total = net.op("Add", [x, net.feed_forward(x, f"{layer}.ff", LARGE)], f"{layer}.s")
        squares = net.op("Mul", [total, total], f"{layer}.q")
        mean = net.op("ReduceMean", [squares, "axes"], f"{layer}.v", keepdims=1)
        root = net.op("Sqrt", [net.op("Add", [mean, "small"], f"{layer}.e")], f"{layer}.r")
        plain = net.op("Mul", [total, net.op("Reciprocal", [root], f"{layer}.i")], f"{layer}.n")
        gamma = net.const(f"{layer}.g", 1.0 + 0.2 * numbers((WIDTH,), layer))
        x = net.op("Mul", [plain, gamma], f"{layer}.o")
    return model(net.nodes, {"x": (1, TOKENS, WIDTH)}, [x], net.consts, opset=18)


@pytest.mark.parametrize(("one", "other"), [("default", "minmax"), ("minmax", "default")])
def test_ranges_of_one_accuracy_serve_the_other(one: Accuracy, other: Accuracy) -> None:
    """As a price of the model by `minmax` is asked for, which ended in an error."""
    proto, samples = post_norm_of_parts(), feeds("post", 4)
    found = hexconv.convert(proto, samples=samples, accuracy=one).ranges
    graph, _ = prepared(proto, None, Settings(accuracy=other))
    assert set(graph.computed_values()) <= found.keys()


def test_a_stream_that_is_returned_has_its_name_and_size() -> None:
    proto = PROTOS["is returned"]()
    made = hexconv.convert(proto, samples=feeds("post", 8))
    sample = feeds("post", 1, first=40)[0]
    wanted: Array = FloatSession(prepared(proto, None, Settings())[0], ["1.s"]).run(sample)["1.s"]
    found = Simulator(made).run(sample)["1.s"]
    noise = np.square(found - wanted).sum()
    assert noise < 0.01 * np.square(wanted).sum()
