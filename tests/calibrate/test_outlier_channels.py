"""Streams with a channel far above the others are scaled, in the weights and norms around them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.calibrate import (
    channel_copies,
    large_channels,
    rewrite_by_ranges,
    rewritten_copy,
)
from hexconv.calibrate.channel_entries import CHANNEL
from hexconv.calibrate.unlike_rows import norm_of
from hexconv.model import Model
from hexconv.onnx_graph.session import FloatSession
from hexconv.pipeline import prepared
from hexconv.settings import Settings
from hexconv.tensor_ranges import introduced_ranges, observed_ranges
from tests.lowering.proof import Array, decibels, model, numbers

WIDTH, HIDDEN, TOKENS, HEADS = 64, 128, 24, 4
MARK, OUTLIER = 3, 5
"""The channel of the input that tells the token, and the one that is large in it."""


class Net:
    """Nodes and weights of a transformer, one after the other."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.consts: dict[str, Array] = {}

    def op(self, op: str, inputs: list[str], name: str, **attrs: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attrs))
        return name

    def const(self, name: str, array: Array) -> str:
        self.consts[name] = np.float32(array)
        return name

    def linear(self, x: str, name: str, rows: int, columns: int, scale: float = 1.0) -> str:
        seed = len(self.consts)
        weights = numbers((rows, columns), seed) * np.float32(scale / rows**0.5)
        product = self.op("MatMul", [x, self.const(f"{name}.w", weights)], f"{name}.p")
        bias = self.const(f"{name}.b", 0.1 * numbers((columns,), seed + 1))
        return self.op("Add", [product, bias], name)

    def norm(self, x: str, name: str) -> str:
        gamma = 1.0 + 0.2 * numbers((WIDTH,), len(self.consts))
        beta = 0.1 * numbers((WIDTH,), len(self.consts) + 1)
        names = [self.const(f"{name}.g", gamma), self.const(f"{name}.c", beta)]
        return self.op("LayerNormalization", [x, *names], name, axis=-1)

    def attention(self, x: str, name: str) -> str:
        split = self.const("heads", np.array([0, TOKENS, HEADS, WIDTH // HEADS]))
        merge = self.const("merged", np.array([0, TOKENS, WIDTH]))
        self.consts["heads"], self.consts["merged"] = (
            self.consts[item].astype(np.int64) for item in (split, merge)
        )
        parts = []
        for letter, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
            made = self.linear(x, f"{name}.{letter}", WIDTH, WIDTH, 0.5)
            shaped = self.op("Reshape", [made, split], f"{name}.{letter}.r")
            parts.append(self.op("Transpose", [shaped], f"{name}.{letter}.t", perm=perm))
        scores = self.op("MatMul", parts[:2], f"{name}.s")
        weights = self.op("Softmax", [scores], f"{name}.a", axis=-1)
        mixed = self.op("MatMul", [weights, parts[2]], f"{name}.m")
        back = self.op("Transpose", [mixed], f"{name}.mt", perm=[0, 2, 1, 3])
        return self.linear(self.op("Reshape", [back, merge], f"{name}.mr"), name, WIDTH, WIDTH)

    def feed_forward(self, x: str, name: str, size: float, act: str = "Relu") -> str:
        """Its first neuron fires for one token, and writes the outlier."""
        hidden = self.linear(x, f"{name}.f", WIDTH, HIDDEN)
        first, bias = self.consts[f"{name}.f.w"], self.consts[f"{name}.f.b"]
        first[:, 0], bias[0] = 0.0, -6.0
        first[MARK, 0] = 4.0
        made = self.linear(self.op(act, [hidden], f"{name}.h"), name, HIDDEN, WIDTH)
        self.consts[f"{name}.w"][0] = 0.0
        self.consts[f"{name}.w"][0, OUTLIER] = size
        return made

    def pre_norm_layers(self, x: str, size: float, act: str = "Relu") -> str:
        """Two layers of a stream that all norms read; the outlier is written in the first."""
        for layer in range(2):
            mixed = self.attention(self.norm(x, f"{layer}.n"), f"{layer}.a")
            x = self.op("Add", [x, mixed], f"{layer}.s")
            read = self.norm(x, f"{layer}.o")
            made = self.feed_forward(read, f"{layer}.ff", 0.0 if layer else size, act)
            x = self.op("Add", [x, made], f"{layer}.t")
        return x


def post_norm(size: float) -> onnx.ModelProto:
    """As BERT: each sum is normalized; the input joins the first."""
    net, x = Net(), "x"
    for layer in range(2):
        x = net.norm(net.op("Add", [x, net.attention(x, f"{layer}.a")], f"{layer}.s"), f"{layer}.n")
        made = net.feed_forward(x, f"{layer}.ff", size)
        x = net.norm(net.op("Add", [x, made], f"{layer}.t"), f"{layer}.o")
    y = net.linear(x, "y", WIDTH, 8)
    return model(net.nodes, {"x": (1, TOKENS, WIDTH)}, [y], net.consts, opset=17)


def pre_norm(size: float) -> onnx.ModelProto:
    """As ViT: patches by a convolution, positions, a stream that all norms read."""
    net = Net()
    patches = numbers((WIDTH, WIDTH, 1, 1), 50) * np.float32(WIDTH**-0.5)
    patches[MARK] = 0.0
    patches[MARK, MARK] = 1.0
    made = net.op("Conv", ["x", net.const("patch", patches)], "patches")
    shape = net.const("flat", np.zeros(3))
    net.consts[shape] = np.array([1, WIDTH, TOKENS], np.int64)
    flat = net.op("Reshape", [made, shape], "patches.flat")
    rows = net.op("Transpose", [flat], "patches.rows", perm=[0, 2, 1])
    x = net.op("Add", [rows, net.const("pos", 0.1 * numbers((1, TOKENS, WIDTH), 51))], "start")
    x = net.pre_norm_layers(x, size)
    y = net.linear(net.norm(x, "end"), "y", WIDTH, 8)
    return model(net.nodes, {"x": (1, WIDTH, 4, 6)}, [y], net.consts, opset=17)


def whisper(size: float) -> onnx.ModelProto:
    """As Whisper's encoder: the stream starts with a convolution's GELU and ends with a norm."""
    net = Net()
    kernel = numbers((WIDTH, WIDTH, 3), 50) * np.float32(0.6 * WIDTH**-0.5)
    kernel[MARK] = 0.0
    kernel[MARK, MARK, 1] = 1.0
    made = net.op("Conv", ["x", net.const("kernel", kernel)], "conv", pads=[1, 1])
    rows = net.op("Transpose", [net.op("Gelu", [made], "front")], "rows", perm=[0, 2, 1])
    x = net.op("Add", [rows, net.const("pos", 0.1 * numbers((1, TOKENS, WIDTH), 51))], "start")
    x = net.pre_norm_layers(x, size, "Gelu")
    return model(net.nodes, {"x": (1, WIDTH, TOKENS)}, [net.norm(x, "y")], net.consts, opset=20)


NETS: dict[str, Callable[[float], onnx.ModelProto]] = {
    "post": post_norm,
    "pre": pre_norm,
    "whisper": whisper,
}
LARGE = 16.0


def feeds(name: str, count: int, first: int = 0) -> list[dict[str, Array]]:
    """Of one token the marked channel is large."""
    found = []
    for seed in range(first, first + count):
        x = np.float32(0.5) * numbers((1, TOKENS, WIDTH), seed)
        x[0, 4, MARK] = 5.0
        columns = np.ascontiguousarray(x.transpose(0, 2, 1))
        forms = {"post": x, "pre": columns.reshape(1, WIDTH, 4, 6), "whisper": columns}
        found.append({"x": forms[name]})
    return found


def converted(name: str, size: float = LARGE, **settings: str) -> Model:
    return hexconv.convert(NETS[name](size), samples=feeds(name, 8), **settings)


def streams(made: Model) -> int:
    assert made.conversion is not None
    return sum(r.times for r in made.conversion.rewrites if r.name == "outlier_channels")


@pytest.fixture(scope="module", params=NETS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_outlier_is_there(name: str) -> None:
    graph, _ = prepared(NETS[name](LARGE), None, Settings())
    found = observed_ranges(graph, feeds(name, 8), None, Settings()).ranges
    large = large_channels(graph, found, feeds(name, 8))
    assert any(key.endswith(f"{CHANNEL}{OUTLIER}") for key in large)


def test_the_scaled_network_is_the_same_function(name: str) -> None:
    """With copies of the large channels, which are moved."""
    graph, _ = prepared(NETS[name](LARGE), None, Settings())
    samples = feeds(name, 8)
    found = observed_ranges(graph, samples, None, Settings()).ranges
    found |= large_channels(graph, found, samples)
    copy = rewritten_copy(graph, found, equalized=True)
    assert copy is not None
    assert any(channel_copies.NAME in str(name) for name in copy.values())
    for sample in feeds(name, 3, first=20):
        wanted = FloatSession(graph, ["y"]).run(sample)["y"]
        np.testing.assert_allclose(FloatSession(copy, ["y"]).run(sample)["y"], wanted, atol=2e-4)


@pytest.mark.parametrize("high", [2.0, 2000.0])
def test_other_ranges_make_the_tensors_that_were_measured(name: str, high: float) -> None:
    """As `--accuracy high` tries them: the form of a norm's variance is that of the ranges seen."""
    graph, _ = prepared(NETS[name](LARGE), None, Settings())
    samples = feeds(name, 8)
    seen = observed_ranges(graph, samples, None, Settings()).ranges
    seen |= introduced_ranges(graph, seen, samples, Settings())
    norms = [norm for node in graph.nodes if (norm := norm_of(node)) is not None]
    other = seen | {str(norm.reduced.outputs[0].name): (1.0, high) for norm in norms}
    made = graph.copied()
    rewrite_by_ranges(made, seen, equalized=True)
    ranges, _ = rewrite_by_ranges(graph, other, equalized=True)
    assert [node.op_type for node in graph.nodes] == [node.op_type for node in made.nodes]
    assert set(graph.computed_values()) <= ranges.keys()


def test_it_gains_6_db_on_samples_that_nothing_has_seen(name: str) -> None:
    """`decibels` compares with the library as well, where it is at hand."""
    held = feeds(name, 4, first=40)
    ranges = converted(name).ranges
    made = decibels(NETS[name](LARGE), held, ranges=ranges)
    plain = decibels(NETS[name](LARGE), held, ranges=ranges, accuracy="minmax")
    assert made > plain + 6.0


def test_a_range_file_gives_the_same_bytes(name: str) -> None:
    made = converted(name)
    again = hexconv.convert(NETS[name](LARGE), ranges=made.ranges)
    assert streams(made) and again.graph.consts == made.graph.consts


def test_constants_may_come_first(name: str) -> None:
    """As torch exports `self.weight * hidden`, and TensorFlow some biases."""
    proto = NETS[name](LARGE)
    consts = {item.name for item in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type in ("Add", "Mul") and node.input[1] in consts:
            node.input[:] = [*reversed(node.input)]
    made, again = converted(name), hexconv.convert(proto, samples=feeds(name, 8))
    assert again.graph.consts == made.graph.consts
    assert len(again.graph.nodes) == len(made.graph.nodes)


def test_squares_of_few_channels_are_no_short_product(name: str) -> None:
    """Products of up to 4 inputs, which the library fills up to 4, take five times the packets."""
    ops = [node.op for node in converted(name).graph.nodes]
    assert not any(op.startswith(("InputSupernode", "QuantizedTile")) for op in ops)


def test_without_an_outlier_nothing_is_scaled(name: str) -> None:
    made = converted(name, 0.0)
    assert not streams(made) and not any(key.endswith("/channel/median") for key in made.ranges)


def test_minmax_and_optimize_none_leave_it_out(name: str) -> None:
    assert not streams(converted(name, accuracy="minmax"))
    assert not streams(converted(name, optimize="none"))


def test_verify_compares_the_scaled_tensors(name: str) -> None:
    made = converted(name)
    report = hexconv.verify(made, NETS[name](LARGE), feeds(name, 2, first=40))
    assert any(row.tensor.endswith("/scaled") for row in report.layers)
    assert not any(name.endswith("/scaled") for name in report.unmatched)


@pytest.mark.parametrize("columns", [1, 3])
def test_a_stream_of_few_columns_keeps_them(columns: int) -> None:
    """Each row is these columns, loud or quiet: no norm has usual rows beside them."""
    net = Net()
    net.consts["mask"] = np.float32(np.arange(WIDTH) < columns)
    net.norm(net.op("Mul", ["x", "mask"], "few"), "y")
    proto = model(net.nodes, {"x": (1, 60, WIDTH)}, ["y"], net.consts)
    samples = [{"x": numbers((1, 60, WIDTH), seed)} for seed in range(3)]
    assert not streams(hexconv.convert(proto, samples=samples))
    assert decibels(proto, samples) > decibels(proto, samples, accuracy="minmax") - 1.0


@pytest.mark.parametrize("size", [6.0, 10.0])
def test_large_channels_may_be_most_of_usual_rows(size: float) -> None:
    """As in MiniLM's last layers: the others still are worth their levels."""
    net, x = Net(), "x"
    for layer in range(2):
        made = net.feed_forward(x, f"{layer}.ff", LARGE)
        net.consts[f"{layer}.ff.w"][1:, 8:12] *= size
        x = net.norm(net.op("Add", [x, made], f"{layer}.t"), f"{layer}.o")
        net.consts[f"{layer}.o.g"][8:12] /= size
    proto = model(net.nodes, {"x": (1, TOKENS, WIDTH)}, [net.linear(x, "y", WIDTH, 8)], net.consts)
    made, held = hexconv.convert(proto, samples=feeds("post", 8)), feeds("post", 4, first=40)
    assert streams(made) == 2
    gained = decibels(proto, held, ranges=made.ranges)
    assert gained > decibels(proto, held, ranges=made.ranges, accuracy="minmax") + 3.0


def loud_token(channel: float) -> onnx.ModelProto:
    """A position that is loud in all channels, and most in one: as a class token."""
    net = Net()
    start = 0.1 * numbers((1, TOKENS, WIDTH), 51)
    start[:, 0] = 10.0 * np.sign(numbers((WIDTH,), 52))
    start[:, 0, OUTLIER] = channel
    x = net.op("Add", ["x", net.const("pos", start)], "start")
    x = net.op("Add", [x, net.attention(net.norm(x, "n"), "a")], "s")
    x = net.op("Add", [x, net.feed_forward(net.norm(x, "o"), "ff", 0.0)], "t")
    y = net.linear(net.norm(x, "end"), "y", WIDTH, 8)
    return model(net.nodes, {"x": (1, TOKENS, WIDTH)}, [y], net.consts, opset=17)


@pytest.mark.parametrize("channel", [45.0, 60.0])
def test_rows_that_differ_more_than_channels_are_brought_together_instead(channel: float) -> None:
    """Scaling the channel left their norm one range for all rows: a trained ViT lost 5 dB."""
    proto, calibration, held = loud_token(channel), feeds("post", 8), feeds("post", 4, first=40)
    made = hexconv.convert(proto, samples=calibration)
    assert made.conversion is not None and not streams(made)
    assert any(item.name == "unlike_rows" for item in made.conversion.rewrites)
    plain = decibels(proto, held, ranges=made.ranges, accuracy="minmax")
    assert decibels(proto, held, ranges=made.ranges) > plain
