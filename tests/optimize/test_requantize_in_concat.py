"""A Concat brings its operands to one range: a requantize before it is not needed."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

from tests.lowering.proof import decibels, model, numbers, same_on_the_library
from tests.optimize.proof import applied, better, converted

NAME = "requantize_in_concat"
SHAPE = (1, 32, 64)
FEEDS = {"x": numbers(SHAPE)}


def net(gain: float) -> ModelProto:
    """`c`, which another node reads too, joined with what has a wider range."""
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c"]),
        helper.make_node("Conv", ["x", "b"], ["d"]),
        helper.make_node("LeakyRelu", ["c"], ["z"]),
        helper.make_node("Concat", ["c", "d"], ["j"], axis=1),
        helper.make_node("Conv", ["j", "k"], ["y"]),
    ]
    consts = {
        "a": numbers((32, 32, 1), 1) * gain,
        "b": numbers((32, 32, 1), 2) / 6,
        "k": numbers((32, 64, 1), 3) / 8,
    }
    return model(nodes, {"x": SHAPE}, ["y", "z"], consts)


@pytest.mark.parametrize("gain", [1 / 12, 1 / 40])
def test_the_concat_rescales(gain: float) -> None:
    on, off = better(net(gain), NAME, FEEDS, 6.0)
    assert "Requantize_8to8" in off.graph.histogram()
    assert "Requantize_8to8" not in on.graph.histogram()
    same_on_the_library(on, FEEDS)


def test_without_another_tensor_in_that_range_it_stays() -> None:
    """The Concat would have a narrower range than its reader was made for."""
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c"]),
        helper.make_node("Conv", ["x", "b"], ["d"]),
        helper.make_node("LeakyRelu", ["c"], ["z"]),
        helper.make_node("LeakyRelu", ["d"], ["w"]),
        helper.make_node("Concat", ["c", "d"], ["y"], axis=1),
    ]
    # One reaches further down, the other further up.
    consts = {"a": np.abs(numbers((32, 32, 1), 1)) / 9, "b": -np.abs(numbers((32, 32, 1), 2)) / 9}
    feeds = {"x": np.abs(numbers(SHAPE))}
    on = converted(model(nodes, {"x": SHAPE}, ["y", "z", "w"], consts), feeds)
    assert NAME not in applied(on)


@pytest.mark.parametrize("top", [0.5, 1.0, 6.0])
def test_a_clip_times_a_number_is_not_taken_for_a_requantize(top: float) -> None:
    """`requantize_once` leaves the number at the Concat: what it reads is the clip's codes."""
    nodes = [
        helper.make_node("MatMul", ["x", "x2"], ["a"]),
        helper.make_node("Clip", ["a", "zero", "top"], ["b"]),
        helper.make_node("Mul", ["b", "ten"], ["c"]),
        helper.make_node("Mul", ["x", "tenth"], ["d"]),
        helper.make_node("Concat", ["d", "c", "a"], ["y"], axis=1),
    ]
    consts = {"zero": np.float32(0), "top": np.float32(top), "ten": np.float32(10)}
    consts["tenth"] = np.float32(0.1)
    shape, feeds = (
        (2, 7, 7),
        {"x": np.abs(numbers((2, 7, 7))) / 3, "x2": np.abs(numbers((2, 7, 7), 2)) / 3},
    )
    proto = model(nodes, {"x": shape, "x2": shape}, ["y"], consts)
    assert decibels(proto, [feeds]) > 30.0
