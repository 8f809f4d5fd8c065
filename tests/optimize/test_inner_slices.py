"""Tensors inside a model in slices of their range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from onnx import helper

from hexconv.model import Model
from hexconv.optimize.inner_slices import chains
from hexconv.pipeline import prepared
from hexconv.precision import Precision
from hexconv.settings import Settings
from tests.lowering.proof import model, numbers, same_on_the_library
from tests.optimize.proof import feeds, precisely, sqnr

IMAGE = (1, 8, 12, 10)


def _image(*inner: onnx.NodeProto) -> onnx.ModelProto:
    """A convolution, nodes from c to l, and a convolution with padding."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="first", pads=[1] * 4),
        *inner,
        helper.make_node("Conv", ["l", "v"], ["y"], pads=[1] * 4),
    ]
    consts = {
        "w": numbers((16, 8, 3, 3), 1) / 3,
        "b": numbers((16,), 2),
        "v": numbers((8, 16, 3, 3), 3) / 9,
        "u": numbers((16, 8, 3, 3), 5) / 3,
        "s": np.abs(numbers((16, 1, 1), 4)) / 4,
        "half": np.float32(0.5),
        "zero": np.float32(0.0),
        "six": np.float32(6.0),
    }
    used = {name for node in nodes for name in node.input}
    return model(nodes, {"x": IMAGE}, ["y"], {n: v for n, v in consts.items() if n in used})


def leaky() -> onnx.ModelProto:
    return _image(helper.make_node("LeakyRelu", ["c"], ["l"], alpha=0.1))


def prelu() -> onnx.ModelProto:
    """With a division by a number in front."""
    return _image(
        helper.make_node("Div", ["c", "half"], ["d"]), helper.make_node("PRelu", ["d", "s"], ["l"])
    )


def relu() -> onnx.ModelProto:
    return _image(helper.make_node("Relu", ["c"], ["l"]))


def relu6() -> onnx.ModelProto:
    """Whose upper limit is within what the convolution returns."""
    return _image(helper.make_node("Clip", ["c", "zero", "six"], ["l"]))


def linears() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["l"]),
        helper.make_node("MatMul", ["l", "v"], ["q"]),
        helper.make_node("Add", ["q", "e"], ["y"]),
    ]
    consts = {"w": numbers((16, 48), 1) / 4, "b": numbers((48,), 2)}
    consts |= {"v": numbers((48, 12), 3) / 7, "e": numbers((12,), 4)}
    return model(nodes, {"x": (1, 9, 16)}, ["y"], consts)


def upsampled() -> onnx.ModelProto:
    """Through two transposed convolutions."""
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["c"], strides=[2]),
        helper.make_node("LeakyRelu", ["c"], ["l"], alpha=0.2),
        helper.make_node("ConvTranspose", ["l", "v", "b"], ["y"], strides=[2], pads=[1, 1]),
    ]
    consts = {"w": numbers((8, 12, 4), 1) / 3, "v": numbers((12, 6, 4), 3) / 5}
    return model(nodes, {"x": (1, 8, 24)}, ["y"], consts | {"b": numbers((6,), 5)})


def summed() -> onnx.ModelProto:
    """Three tensors are added up, halved, and read behind a LeakyRelu."""
    return _image(
        helper.make_node("Conv", ["x", "u"], ["c2"], name="second", pads=[1] * 4),
        helper.make_node("LeakyRelu", ["c"], ["r"], alpha=0.6),
        helper.make_node("LeakyRelu", ["c2"], ["t"], alpha=0.4),
        helper.make_node("Add", ["r", "t"], ["inside"]),
        helper.make_node("Add", ["inside", "c2"], ["sum"]),
        helper.make_node("Mul", ["sum", "half"], ["d"]),
        helper.make_node("LeakyRelu", ["d"], ["l"], alpha=0.1),
    )


NETS = {
    "leaky": leaky,
    "summed": summed,
    "prelu": prelu,
    "relu": relu,
    "relu6": relu6,
    "linears": linears,
    "upsampled": upsampled,
}


def made(proto: onnx.ModelProto, slices: Mapping[str, int]) -> Model:
    return precisely(proto, Precision(tuple(slices.items())))


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("name", NETS)
def test_slices_are_better_and_have_the_librarys_bits(name: str, count: int) -> None:
    """All that is left is the noise of the input, of the weights and of the output."""
    proto = NETS[name]()
    plain, sliced = (made(proto, p) for p in ({}, {"l": count}))
    assert sqnr(proto, sliced) > sqnr(proto, plain) + 0.1
    assert sliced.graph.outputs == plain.graph.outputs
    (sample,) = feeds(proto, 1, 50)
    same_on_the_library(sliced, sample)


def test_an_activation_between_goes_into_the_weights() -> None:
    plain, sliced = (made(leaky(), p) for p in ({}, {"l": 2}))
    assert sum("PRelu" in node.op for node in plain.graph.nodes) == 1
    assert len(sliced.graph.nodes) == len(plain.graph.nodes) - 1


@pytest.mark.parametrize(
    ("bounds", "count", "parts"),
    [
        ((-1.0, 1.0), 2, (1, 1, 1.0)),
        ((-1.0, 4.0), 3, (2, 1, 2.0)),
        ((-4.0, 1.0), 3, (1, 2, 2.0)),
        ((0.5, 4.0), 4, (4, 0, 1.0)),
        ((-4.0, 0.0), 2, None),
    ],
)
def test_slices_are_as_narrow_as_their_number_allows(
    bounds: tuple[float, float], count: int, parts: tuple[int, int, float] | None
) -> None:
    graph, _ = prepared(leaky(), None, Settings())
    (chain,) = chains(graph).values()
    assert chain.split(bounds, count) == parts


def test_nothing_below_zero_is_carried_behind_a_relu() -> None:
    graph, _ = prepared(relu(), None, Settings())
    (chain,) = chains(graph).values()
    assert chain.split((0.0, 4.0), 2) == (2, 0, 2.0)


def _read_twice() -> onnx.ModelProto:
    """By a sum as well, which no weights are in."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["l"], pads=[1] * 4),
        helper.make_node("Conv", ["l", "w"], ["d"], pads=[1] * 4),
        helper.make_node("Add", ["l", "d"], ["y"]),
    ]
    return model(nodes, {"x": IMAGE}, ["y"], {"w": numbers((8, 8, 3, 3), 1) / 9})


def _depthwise() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["l"], pads=[1] * 4),
        helper.make_node("Conv", ["l", "v"], ["y"], group=8),
    ]
    consts = {"w": numbers((8, 8, 3, 3), 1) / 9, "v": numbers((8, 1, 3, 3), 2)}
    return model(nodes, {"x": IMAGE}, ["y"], consts)


@pytest.mark.parametrize(
    "proto",
    [
        _read_twice(),
        _depthwise(),
        _image(helper.make_node("Tanh", ["c"], ["l"])),
        _image(helper.make_node("LeakyRelu", ["c"], ["l"], alpha=-0.1)),
    ],
    ids=["read by a sum", "depthwise", "tanh", "negative slope"],
)
def test_what_cannot_be_carried_in_slices_stays_as_it_is(proto: onnx.ModelProto) -> None:
    assert "l" not in chains(prepared(proto, None, Settings())[0])
    plain, asked = (made(proto, p) for p in ({}, {"l": 2}))
    assert asked.graph == plain.graph
