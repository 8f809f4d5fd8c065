"""Graphs that the library would compute incorrectly are corrected at every level."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

import hexconv
from hexconv.nnlib.prepare import trace
from hexconv.nnlib.prepare.left_padding import shifted
from hexconv.nnlib.prepare.prelu_input import overrunning_prelus
from hexconv.nnlib.prepare.row_padding import readers_short_of_rows
from tests.lowering.proof import decibels, emitted, model, numbers, same_on_the_library
from tests.optimize.proof import errors


def net(depth: int) -> ModelProto:
    """Depthwise convolutions in a row of widths between which the left padding differs."""
    nodes, value = [], "x"
    for number in range(depth):
        name = f"t{number}"
        nodes.append(
            helper.make_node(
                "Conv", [value, "w"], [name], group=8, pads=[1, 1, 1, 1], strides=[1, 1]
            )
        )
        value = name
    nodes.append(helper.make_node("Conv", [value, "v"], ["y"], pads=[1, 1, 1, 1]))
    consts = {"w": 0.3 * numbers((8, 1, 3, 3), 2), "v": 0.2 * numbers((4, 8, 3, 3), 3)}
    return model(nodes, {"x": (1, 8, 12, 12)}, ["y"], consts)


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("depth", [1, 3])
def test_no_node_misreads_depthwise_rows(level: str, depth: int) -> None:
    proto, feeds = net(depth), {"x": numbers((1, 8, 12, 12))}
    converted = hexconv.convert(proto, samples=[feeds], optimize=level)
    assert not list(shifted(trace(converted.graph).graph))
    assert max(errors(converted, proto, feeds)) <= 2.0 + 2.0 * depth


def conv(source: str, weights: str, result: str, dilation: int = 1) -> NodeProto:
    """Of width 3, or 3 x 3, that keeps the size; weights named v... are of two axes."""
    axes = 2 if weights.startswith("v") else 1
    return helper.make_node(
        "Conv", [source, weights], [result], pads=[dilation] * 2 * axes, dilations=[dilation] * axes
    )


W = {f"w{n}": 0.15 * numbers((8, 16, 3), n) for n in range(3)}
V = {f"v{n}": 0.1 * numbers((16, 16, 3, 3), n) for n in range(3)}
NUMBERS = {"zero": np.float32(0), "half": np.float32(0.5), "low": np.float32(-0.5)}
NUMBERS |= {"four": np.float32(4), "quarter": np.float32(0.25)}


def joined(kind: str) -> ModelProto:
    """Convolutions side by side, of which one clips or is multiplied."""
    first, second = ("v0", "v1") if "2-D" in kind else ("w0", "w1")
    nodes = [conv("x", first, "a", 2 if "dilated" in kind else 1), conv("x", second, "b")]
    if "relu" in kind:
        nodes.append(helper.make_node("Relu", ["b"], ["c"]))
    elif "clip" in kind:
        nodes.append(
            helper.make_node("Clip", ["b", "low" if "below" in kind else "zero", "half"], ["c"])
        )
    else:
        nodes.append(helper.make_node("Mul", ["b", "four" if "4" in kind else "quarter"], ["c"]))
    parts = ["a", "c"]
    if "pooled" in kind:
        pools = [("a", "p"), ("c", "q")]
        nodes += [
            helper.make_node("MaxPool", [one], [other], kernel_shape=[2, 2], strides=[2, 2])
            for one, other in pools
        ]
        parts = ["p", "q"]
    nodes.append(helper.make_node("Concat", parts, ["y"], axis=1))
    shape = (1, 16, 10, 10) if "2-D" in kind else (1, 16, 20)
    return model(nodes, {"x": shape}, ["y"], W | V | NUMBERS)


KINDS = ["relu", "relu beside dilated", "clip", "clip from below zero", "4 times", "a quarter"]
KINDS += ["2-D relu", "2-D clip", "2-D 4 times", "2-D relu pooled", "2-D 4 times pooled"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_concat_keeps_what_its_convolutions_clip_and_are_multiplied_by(kind: str) -> None:
    """prepare gives all convolutions that one Concat joins the union of their ranges."""
    proto = joined(kind)
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    samples = [{"x": numbers(shape, 5 + i)} for i in range(3)]
    plain = decibels(proto, samples, optimize="none")
    assert plain > 30.0 and decibels(proto, samples) > plain - 1.0


WINDOWS = {
    "convolution 1 x 3": helper.make_node("Conv", ["j", "v"], ["y"], pads=[0, 1, 0, 1]),
    "convolution 3 x 1": helper.make_node("Conv", ["j", "u"], ["y"], pads=[1, 0, 1, 0]),
    "depthwise": helper.make_node("Conv", ["j", "d"], ["y"], pads=[0, 1, 0, 1], group=64),
    "maximum": helper.make_node("MaxPool", ["j"], ["y"], kernel_shape=[1, 3], pads=[0, 1, 0, 1]),
    "mean": helper.make_node("AveragePool", ["j"], ["y"], kernel_shape=[1, 3], pads=[0, 1, 0, 1]),
}


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_on_the_one_row_of_a_concat_has_its_padding(
    window: str, pooled: bool, level: str
) -> None:
    parts, nodes = ["a", "b"], []
    if pooled:
        parts = ["pa", "pb"]
        nodes = [
            helper.make_node("MaxPool", [name], [f"p{name}"], kernel_shape=[1, 2], strides=[1, 2])
            for name in "ab"
        ]
    nodes += [helper.make_node("Concat", parts, ["j"], axis=1), WINDOWS[window]]
    consts = {
        "v": 0.1 * numbers((8, 64, 1, 3), 2),
        "u": 0.1 * numbers((8, 64, 3, 1), 3),
        "d": 0.3 * numbers((64, 1, 1, 3), 4),
    }
    used = {name: array for name, array in consts.items() if name in nodes[-1].input}
    shape = (1, 32, 1, 18)
    proto = model(nodes, {"a": shape, "b": shape}, ["y"], used)
    feeds = {"a": numbers(shape, 5), "b": numbers(shape, 6)}
    converted = hexconv.convert(proto, samples=[feeds], optimize=level)
    assert not list(readers_short_of_rows(trace(converted.graph).graph))
    assert decibels(proto, [feeds], optimize=level) > 30


BETWEEN = {
    "": [],
    "Relu": [helper.make_node("Relu", ["u"], ["b"])],
    "Tanh": [helper.make_node("Tanh", ["u"], ["b"])],
    "LeakyRelu": [helper.make_node("LeakyRelu", ["u"], ["b"])],
    "Add": [helper.make_node("Add", ["u", "c"], ["b"])],
    "Mul": [helper.make_node("Mul", ["u", "c"], ["b"])],
    "mean": [helper.make_node("AveragePool", ["u"], ["b"], kernel_shape=[2], strides=[2])],
    "Concat": [
        helper.make_node("Tanh", ["u"], ["t"]),
        helper.make_node("Concat", ["u", "t"], ["b"], axis=1),
    ],
    "Split": [helper.make_node("Split", ["u"], ["b", "other"], axis=1, num_outputs=2)],
}


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("width", [3, 7])
@pytest.mark.parametrize("between", BETWEEN)
def test_a_depthwise_convolution_behind_a_transposed_one_has_its_padding(
    between: str, width: int, level: str
) -> None:
    depth = {"Concat": 80, "Split": 20}.get(between, 40)
    conv = helper.make_node(
        "Conv",
        ["b" if between else "u", "d"],
        ["y"],
        pads=[width // 2] * 2,
        group=depth,
    )
    up = helper.make_node("ConvTranspose", ["x", "w"], ["u"], strides=[4], pads=[2, 2])
    consts = {"w": 0.3 * numbers((9, 40, 8), 2), "d": 0.5 * numbers((depth, 1, width), 3)}
    nodes = [up, *BETWEEN[between], conv]
    if between in ("Add", "Mul"):
        consts["c"] = numbers((1, 40, 1), 4)
    proto, feeds = model(nodes, {"x": (1, 9, 33)}, ["y"], consts), {"x": numbers((1, 9, 33), 5)}
    executed = trace(hexconv.convert(proto, samples=[feeds], optimize=level).graph).graph
    assert not list(readers_short_of_rows(executed)) and not list(shifted(executed))
    assert decibels(proto, [feeds], optimize=level) > 28


def test_a_prelu_behind_the_mean_of_a_picture_reads_its_pixel() -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["m"]),
        helper.make_node("PRelu", ["m", "s"], ["p"]),
        helper.make_node("Conv", ["p", "w"], ["y"]),
    ]
    consts = {"s": np.full((1, 1, 1), 0.25, np.float32), "w": 0.2 * numbers((8, 32, 1, 1), 2)}
    proto, feeds = model(nodes, {"x": (1, 32, 6, 6)}, ["y"], consts), {"x": numbers((1, 32, 6, 6))}
    executed = trace(hexconv.convert(proto, samples=[feeds]).graph).graph
    assert not list(shifted(executed))
    assert decibels(proto, [feeds]) > 28


@pytest.mark.parametrize("channels", [1, 3, 4, 5])
@pytest.mark.parametrize("level", ["none", "default"])
def test_a_prelu_behind_a_convolution_of_few_channels_does_not_overrun_its_slopes(
    channels: int, level: Literal["none", "default"]
) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], pads=[1, 1, 1, 1]),
        helper.make_node("PRelu", ["h", "s"], ["y"]),
    ]
    consts = {"s": numbers((64, 1, 1)), "w": 0.2 * numbers((64, channels, 3, 3), 2)}
    shape = (1, channels, 2, 8)
    proto, feeds = model(nodes, {"x": shape}, ["y"], consts), {"x": numbers(shape)}
    converted = hexconv.convert(proto, samples=[feeds], optimize=level)
    assert not list(overrunning_prelus(trace(converted.graph).graph))
    assert emitted(converted).get("QuantizedReshape", 0) == (channels < 5)
    same_on_the_library(converted, feeds)


def test_a_maximum_over_the_one_column_of_a_concat_has_its_padding() -> None:
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Concat", ["x", "t"], ["j"], axis=1),
        helper.make_node("MaxPool", ["j"], ["y"], kernel_shape=[3, 1], pads=[1, 0, 1, 0]),
    ]
    proto, feeds = model(nodes, {"x": (1, 32, 6, 1)}, ["y"], {}), {"x": numbers((1, 32, 6, 1))}
    executed = trace(hexconv.convert(proto, samples=[feeds]).graph).graph
    assert not list(shifted(executed))
    assert decibels(proto, [feeds]) > 28


@pytest.mark.parametrize("end", ["Exp", "Neg"])
@pytest.mark.parametrize("way", ["Conv", "ConvTranspose", "Conv, MaxPool", "Concat"])
def test_a_table_behind_a_relu_reads_the_range_that_it_was_built_for(way: str, end: str) -> None:
    """prepare moves the Relu into the convolution, whose range then begins at 0."""
    kind = way.split(",")[0]
    nodes = [helper.make_node("Conv", ["x", "v"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    if kind == "ConvTranspose":
        nodes[0] = helper.make_node(kind, ["x", "v"], ["a"], strides=[2, 2])
    elif kind == "Concat":
        nodes[:1] = [
            helper.make_node("Conv", ["x", "v"], ["p"]),
            helper.make_node("Conv", ["x", "u"], ["q"]),
            helper.make_node("Concat", ["p", "q"], ["a"], axis=1),
        ]
    if way.endswith("MaxPool"):
        nodes.append(helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2]))
    nodes.append(helper.make_node(end, [nodes[-1].output[0]], ["y"]))
    consts = {"v": 0.3 * numbers((4, 4, 2, 2)), "u": 0.3 * numbers((4, 4, 2, 2), 2)}
    proto, feeds = model(nodes, {"x": (1, 4, 5, 6)}, ["y"], consts), {"x": numbers((1, 4, 5, 6))}
    assert decibels(proto, [feeds], optimize="none") > 33.0
