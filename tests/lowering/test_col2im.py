"""Col2Im: a transposed convolution that places each column, whatever the blocks are."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from onnx import helper

import hexconv
from hexconv.errors import HexconvError, ModelError
from tests.lowering.proof import emitted, ints, matches, model, on_codes, one, unsupported_op


def fold(image: tuple[int, ...], block: tuple[int, ...], channels: int, **attrs: Any) -> Any:
    """A model of one Col2Im, and its input of as many columns as the blocks have positions."""
    axes = len(image)
    strides, dilations = (attrs.get(name, [1] * axes) for name in ("strides", "dilations"))
    pads = attrs.get("pads", [0] * 2 * axes)
    counts = [
        (image[i] + pads[i] + pads[axes + i] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1
        for i in range(axes)
    ]
    shape = (1, channels * prod(block), prod(counts))
    return one("Col2Im", shape, ints(*image), ints(*block), **attrs)


@pytest.mark.parametrize(
    ("image", "block", "channels", "attrs"),
    [
        pytest.param((5, 5), (1, 5), 1, {}, id="as ONNX's own test"),
        pytest.param((8, 8), (2, 2), 3, {"strides": [2, 2]}, id="blocks side by side"),
        pytest.param((9, 7), (3, 2), 4, {}, id="blocks that overlap"),
        pytest.param((9, 8), (3, 3), 2, {"pads": [1, 0, 1, 2]}, id="pads unlike"),
        pytest.param((9, 9), (3, 2), 2, {"dilations": [2, 3]}, id="dilated"),
        pytest.param((10, 9), (3, 3), 2, {"strides": [3, 4]}, id="edges that no block reaches"),
        pytest.param((7, 6), (2, 3), 1, {"strides": [2, 1], "dilations": [1, 2]}, id="mixed"),
        pytest.param((6, 5), (3, 3), 40, {"pads": [1, 1, 1, 1]}, id="more than 32 channels"),
        pytest.param((1, 12), (1, 4), 2, {"strides": [1, 2]}, id="one row"),
    ],
)
def test_an_image_of_columns(
    image: tuple[int, ...], block: tuple[int, ...], channels: int, attrs: dict[str, Any]
) -> None:
    matches(fold(image, block, channels, **attrs), steps=0.51)


def test_blocks_side_by_side_lose_nothing() -> None:
    matches(fold((8, 8), (2, 2), 3, strides=[2, 2]))


def test_a_signal_of_one_axis() -> None:
    proto = fold((12,), (4,), 2, strides=[2])
    feeds = {"x": on_codes((1, 8, 5))}
    columns = feeds["x"].reshape(2, 4, 5)
    expected = np.zeros((1, 2, 12), np.float32)
    for position in range(5):
        expected[0, :, 2 * position : 2 * position + 4] += columns[:, :, position]
    matches(proto, steps=0.51, feeds=feeds, expected=[expected])


def test_it_is_one_node_of_the_library() -> None:
    converted = matches(fold((8, 8), (2, 2), 3, strides=[2, 2]))
    assert emitted(converted)["QuantizedTransposeConv2d_8x8p32to8"] == 1


def test_columns_that_do_not_fit_name_the_node() -> None:
    with pytest.raises(ModelError, match=r"8 rows and 5 columns.*4 positions"):
        hexconv.check(one("Col2Im", (1, 8, 5), ints(4, 4), ints(2, 2), strides=[2, 2]))


def test_sizes_that_are_computed_are_unsupported() -> None:
    nodes = [
        helper.make_node("Cast", ["s"], ["sizes"], to=7),
        helper.make_node("Col2Im", ["x", "sizes", "block"], ["y"], name="node"),
    ]
    proto = model(nodes, {"x": (1, 4, 9), "s": (2,)}, ["y"], {"block": ints(2, 2)})
    with pytest.raises(HexconvError):
        hexconv.convert(proto, samples=[{"x": on_codes((1, 4, 9)), "s": np.ones(2, np.float32)}])


def test_three_axes_are_unsupported() -> None:
    assert "three axes" in unsupported_op(fold((4, 4, 4), (2, 2, 2), 1))
