"""Sizes below 0, which crash onnx's shape inference of a Slice behind them, are errors first."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.errors import ModelError
from tests.lowering.proof import model

SHAPE = (1, 3, 8, 8)
node = helper.make_node
MADE = {
    "scale that is not a number": (
        node("Resize", ["x", "", "f"], ["z"], mode="nearest"),
        np.array([1, np.nan, 2, 2], np.float32),
    ),
    "scale below 0": (
        node("Resize", ["x", "", "f"], ["z"], mode="nearest"),
        np.array([1, -2, 2, 2], np.float32),
    ),
    "more cut off than there is": (
        node("Pad", ["x", "f"], ["z"]),
        np.array([0, -9, 0, 0, 0, -9, 0, 0]),
    ),
    "window wider than the image": (node("AveragePool", ["x"], ["z"], kernel_shape=[50, 50]), None),
    "outputs of a transposed convolution cut off": (
        node("ConvTranspose", ["x", "f"], ["z"], pads=[40] * 4),
        np.zeros((3, 3, 2, 2), np.float32),
    ),
    "part of a split": (node("Split", ["x", "f"], ["z", "w"], axis=1), np.array([-1, 4])),
}


@pytest.mark.parametrize("how", MADE)
def test_a_size_below_zero_is_an_error_that_names_the_node(how: str) -> None:
    first, constant = MADE[how]
    consts = {"b": np.array([0, 1]), "e": np.array([6, 9]), "a": np.array([1, 2])}
    if constant is not None:
        consts["f"] = constant
    behind = node("Slice", ["z", "b", "e", "a"], ["y"])
    proto = onnx.ModelProto()
    proto.CopyFrom(model([first, behind], {"x": SHAPE}, ["y"], consts))
    with pytest.raises(ModelError) as found:
        hexconv.check(proto)
    assert "node 'z'" in found.value.where
