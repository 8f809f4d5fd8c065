"""Convolutions quantize the weights of each output channel by a scale of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.model import Model
from hexconv.nnlib.check import check
from hexconv.nnlib.depthwise_code import ignores, scale_period
from hexconv.nnlib.ops import spec
from hexconv.quantize import quantize_channels
from tests.lowering.proof import decibels, float_outputs, model, numbers

SPREAD = np.geomspace(1.0, 1.0 / 25.0, 12).astype(np.float32)
"""Sizes of the weights of 12 output channels."""
SIGNAL, IMAGE = (1, 12, 40), (1, 12, 16, 16)

FORMS: list[tuple[str, Sequence[int], Array, dict[str, Any]]] = [
    ("Conv", IMAGE, SPREAD[:, None, None, None] * numbers((12, 12, 3, 3)), {"pads": [1, 1, 1, 1]}),
    ("Conv", SIGNAL, SPREAD[:, None, None] * numbers((12, 12, 5)), {"pads": [2, 2]}),
    ("Conv", IMAGE, SPREAD[:, None, None, None] * numbers((12, 12, 3, 3)), {"strides": [2, 2]}),
    (
        "Conv",
        SIGNAL,
        SPREAD[:, None, None] * numbers((12, 12, 3)),
        {"pads": [3, 3], "dilations": [3]},
    ),
    (
        "Conv",
        IMAGE,
        SPREAD[:, None, None, None] * numbers((12, 1, 3, 3)),
        {"pads": [1, 1, 1, 1], "group": 12},
    ),
    ("ConvTranspose", SIGNAL, SPREAD[None, :, None] * numbers((12, 12, 16)), {"strides": [8]}),
    (
        "ConvTranspose",
        SIGNAL,
        SPREAD[None, :, None] * numbers((12, 12, 4)),
        {"strides": [2], "pads": [1, 1]},
    ),
    ("Linear", (1, 20, 12), SPREAD[None] * numbers((12, 12)), {}),
]


def network(
    op: str, shape: Sequence[int], weights: Array, attrs: dict[str, Any]
) -> onnx.ModelProto:
    """One layer with a bias, whose output channels are of sizes `SPREAD`."""
    bias = SPREAD * numbers((12,), 5)
    if op == "Linear":
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["m"]),
            helper.make_node("Add", ["m", "b"], ["y"]),
        ]
        return model(nodes, {"x": shape}, ["y"], {"w": weights, "b": bias})
    node = helper.make_node(op, ["x", "w", "b"], ["y"], name="layer", **attrs)
    return model([node], {"x": shape}, ["y"], {"w": weights, "b": bias})


def scales_of(converted: Model) -> list[Array]:
    """The channel scales of every convolution that has them."""
    consts = {const.id: const.array for const in converted.graph.consts}
    found = []
    for node in converted.graph.nodes:
        at = spec(node.op).position("channel_scale", len(node.inputs))
        if at is not None:
            found.append(consts[node.inputs[at].node])
    return found


def noise_by_channel(proto: onnx.ModelProto, feeds: dict[str, Array], **settings: Any) -> Array:
    """The mean squared error of each channel of y."""
    converted = hexconv.convert(proto, samples=[feeds], **settings)
    result = hexconv.simulate(converted, feeds, library="v60")["y"]
    squares = (np.float64(result) - float_outputs(proto, feeds)[0]) ** 2
    axis = 2 if squares.shape[-1] == 12 and squares.ndim == 3 else 1
    return np.asarray(squares.mean(axis=tuple(a for a in range(squares.ndim) if a != axis)))


@pytest.mark.parametrize(("op", "shape", "weights", "attrs"), FORMS)
def test_small_channels_keep_their_weights(
    op: str, shape: Sequence[int], weights: Array, attrs: dict[str, Any]
) -> None:
    """The smaller half of the channels has at most 3/4 of the noise of one scale for all."""
    proto = network(op, shape, weights, attrs)
    feeds = {"x": np.abs(numbers(shape, 3))}
    by_channel, by_layer = (
        noise_by_channel(proto, feeds, accuracy=level) for level in ("default", "minmax")
    )
    assert by_channel[6:].mean() < 0.75 * by_layer[6:].mean()
    assert by_channel.mean() < by_layer.mean()


@pytest.mark.parametrize(("op", "shape", "weights", "attrs"), FORMS)
@pytest.mark.parametrize("loudness", [1.0, 1e-4])
def test_the_library_uses_the_scales(
    op: str, shape: Sequence[int], weights: Array, attrs: dict[str, Any], loudness: float
) -> None:
    """Simulated, and in the real library where it is at hand (`decibels` compares both)."""
    proto = network(op, shape, weights, attrs)
    feeds = [{"x": np.float32(loudness) * numbers(shape, seed)} for seed in (3, 4)]
    assert decibels(proto, feeds) > 30.0


MANY = 80
"""Channels of three of the library's vectors."""


def depthwise(width: int, stride: int, height: int = 3) -> onnx.ModelProto:
    """A depthwise layer of 80 channels whose sizes have no period."""
    sizes = np.random.default_rng(2).permutation(np.geomspace(1.0, 1.0 / 25.0, MANY))
    weights = sizes[:, None, None, None] * numbers((MANY, 1, height, width))
    attrs = {"group": MANY, "strides": [stride] * 2, "pads": [height // 2, width // 2] * 2}
    consts = {"w": np.float32(weights), "b": np.float32(sizes) * numbers((MANY,), 5)}
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="layer", **attrs)
    return model([node], {"x": (1, MANY, 14, 14)}, ["y"], consts)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("width", [3, 4, 5, 6, 7])
def test_depthwise_scales_of_many_channels(width: int, stride: int) -> None:
    """The library takes 7 wide at stride 1 and 5 wide at stride 2 with the first 32 scales only."""
    proto = depthwise(width, stride)
    feeds = [{"x": numbers((1, MANY, 14, 14), seed)} for seed in (3, 4)]
    assert decibels(proto, feeds) > 30.0


@pytest.mark.parametrize("height", [2, 7])
def test_where_the_library_repeats_scales_each_32_channels_have_the_same(height: int) -> None:
    feeds = {"x": numbers((1, MANY, 14, 14), 3)}
    converted = hexconv.convert(depthwise(7, 1, height), samples=[feeds])
    scales = scales_of(converted)[0].reshape(-1)
    np.testing.assert_array_equal(scales[32:], scales[:-32])
    assert (scales[:32] < 0.9).any()


def test_where_a_wider_kernel_applies_all_scales_it_is_taken() -> None:
    feeds = {"x": numbers((1, MANY, 14, 14), 3)}
    converted = hexconv.convert(depthwise(5, 2), samples=[feeds])
    node = next(n for n in converted.graph.nodes if n.op == "DepthwiseSupernode_8x8p32to8")
    weights = next(c.array for c in converted.graph.consts if c.id == node.inputs[1].node)
    scales = scales_of(converted)[0].reshape(-1)
    assert weights.shape == (3, 7, MANY, 1) and (scales[32:] != scales[:-32]).any()


def test_a_graph_whose_scales_the_library_ignores_is_an_error() -> None:
    """Where it is loaded, as one that an older version wrote, and in the simulator."""
    feeds = {"x": numbers((1, MANY, 14, 14), 3)}
    converted = hexconv.convert(depthwise(7, 1), samples=[feeds])
    node = next(n for n in converted.graph.nodes if n.op == "DepthwiseSupernode_8x8p32to8")
    own = np.linspace(0.5, 1.0, MANY, dtype=np.float32).reshape(1, 1, 1, -1)
    consts = converted.graph.consts
    at = next(i for i, const in enumerate(consts) if const.id == node.inputs[-1].node)
    consts[at] = replace(consts[at], array=own)
    with pytest.raises(GraphError, match="first 32 channels"):
        check(converted.graph)
    with pytest.raises(GraphError, match="first 32 channels"):
        hexconv.simulate(converted, feeds)


@pytest.mark.parametrize(("width", "stride", "period"), [(7, 1, 32), (5, 2, 32), (5, 1, None)])
def test_scales_with_the_period_of_the_code_are_applied(
    width: int, stride: int, period: int | None
) -> None:
    own = np.linspace(0.5, 1.0, MANY, dtype=np.float32)
    assert scale_period(width, stride) == period
    assert ignores(own, width, stride) == (period is not None)
    assert not ignores(own[:32], width, stride)
    assert not ignores(np.tile(own[:32], 3)[:MANY], width, stride)


@pytest.mark.parametrize(("op", "shape", "weights", "attrs"), FORMS)
def test_one_scale_for_all_is_a_setting(
    op: str, shape: Sequence[int], weights: Array, attrs: dict[str, Any]
) -> None:
    proto = network(op, shape, weights, attrs)
    feeds = {"x": numbers(shape, 3)}
    assert scales_of(hexconv.convert(proto, samples=[feeds]))
    assert not scales_of(hexconv.convert(proto, samples=[feeds], accuracy="minmax"))


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_few_input_channels_keep_the_input_supernode(depth: int) -> None:
    """With scales prepare takes the usual Supernode: twice the packets on an image."""
    weights = SPREAD[:, None, None, None] * numbers((12, depth, 3, 3))
    proto = network("Conv", (1, depth, 16, 16), weights, {"pads": [1, 1, 1, 1]})
    assert not scales_of(hexconv.convert(proto, samples=[{"x": numbers((1, depth, 16, 16), 3)}]))


@pytest.mark.parametrize("largest", [127, 128])
def test_weights_that_were_quantized_before_are_exact(largest: int) -> None:
    """By channel (127 levels on either side) or by tensor: each code is met again."""
    draw = np.random.default_rng(7)
    codes = draw.integers(-127, 128, (12, 12, 3, 3)).astype(np.float32)
    codes[:, 0, 0, 0] = -largest if largest == 128 else 127.0
    steps = SPREAD * np.float32(0.01) if largest == 127 else np.full(12, 2.0**-7, np.float32)
    weights = quantize_channels(
        (codes * steps[:, None, None, None]).transpose(2, 3, 1, 0), 3, np.zeros(12), 1.0
    )
    np.testing.assert_array_equal(weights.codes.transpose(3, 2, 0, 1) - 128.0, codes)


def test_a_channel_of_zeros_with_a_bias_keeps_its_bias() -> None:
    weights = numbers((12, 12, 3, 3))
    weights[4] = 0.0
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1])
    consts = {"w": weights, "b": 10.0 * numbers((12,), 5)}
    proto = model([node], {"x": IMAGE}, ["y"], consts)
    feeds = {"x": numbers(IMAGE, 3)}
    converted = hexconv.convert(proto, samples=[feeds])
    result = hexconv.simulate(converted, feeds)["y"][0, 4]
    step = (converted.graph.outputs[0].range[1] - converted.graph.outputs[0].range[0]) / 255
    assert np.abs(result - consts["b"][4]).max() <= 0.51 * step


def test_scales_stay_where_the_library_is_exact() -> None:
    """Scales are 1/1024 to 1, however small a channel is."""
    weights = (np.geomspace(1.0, 1e-9, 12)[:, None] * numbers((12, 20))).astype(np.float32)
    found = quantize_channels(weights, 0, np.zeros(12), 0.1)
    assert found.scales.max() <= 1.0 and found.scales.min() == 2.0**-10
    small = 2.0**-10 * found.range.step
    restored = found.scales[:, None] * found.range.step * (found.codes - 128.0)
    assert np.abs(restored - weights).max(axis=1)[-1] <= 0.5 * small


def test_relus_that_prepare_moves_leave_the_scales_alone() -> None:
    """Conv, Concat, Relu at optimize none: prepare asks the convolutions for a minimum of 0."""
    weights = {f"w{i}": SPREAD[:, None, None, None] * numbers((12, 12, 3, 3), i) for i in (1, 2)}
    nodes = [helper.make_node("Conv", ["x", f"w{i}"], [f"c{i}"], pads=[1, 1, 1, 1]) for i in (1, 2)]
    nodes += [
        helper.make_node("Concat", ["c1", "c2"], ["c"], axis=1),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    proto = model(nodes, {"x": IMAGE}, ["y"], weights)
    for level in ("none", "default"):
        assert decibels(proto, [{"x": numbers(IMAGE, 3)}], optimize=level) > 33.0
