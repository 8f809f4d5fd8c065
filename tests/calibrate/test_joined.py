"""A part of a joined output that has hardly any levels is named."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.errors import HexconvWarning
from tests.lowering.proof import model, numbers


def head(largest: float) -> onnx.ModelProto:
    """Boxes of 0..largest and scores of 0..1 in one output."""
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["place"]),
        helper.make_node("Mul", ["place", "size"], ["boxes"]),
        helper.make_node("Sigmoid", ["z"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["y"], axis=1, name="join"),
    ]
    consts = {"size": np.array(largest, np.float32)}
    return model(nodes, {"x": (1, 4, 8), "z": (1, 10, 8)}, ["y"], consts)


FEEDS = [{"x": numbers((1, 4, 8), s), "z": numbers((1, 10, 8), s)} for s in (1, 2)]


def test_the_part_its_levels_and_the_remedy_are_named() -> None:
    with pytest.warns(
        HexconvWarning,
        match=r"Concat 'join'.*of 255 levels, 'scores' has [01]\. Export 'boxes', 'sc",
    ):
        made = hexconv.convert(head(640.0), samples=FEEDS)
    assert made.conversion is not None
    assert len(made.conversion.warnings) == 1


def test_parts_of_like_ranges_need_no_warning() -> None:
    made = hexconv.convert(head(2.0), samples=FEEDS)
    assert made.conversion is not None
    assert not made.conversion.warnings


@pytest.mark.parametrize("reshaped", [False, True])
def test_a_part_of_a_join_that_is_joined_again_is_named(reshaped: bool) -> None:
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["place"]),
        helper.make_node("Mul", ["place", "size"], ["boxes"]),
        helper.make_node("Sigmoid", ["z"], ["scores"]),
        helper.make_node("Concat", ["scores", "boxes"], ["both"], axis=1, name="inner"),
        helper.make_node(
            "Reshape" if reshaped else "Identity", ["both", "sizes"][: 1 + reshaped], ["b"]
        ),
        helper.make_node("Mul", ["x", "size"], ["more"]),
        helper.make_node("Concat", ["b", "more"], ["y"], axis=1, name="join"),
    ]
    consts = {"size": np.array(640, np.float32)}
    if reshaped:
        consts["sizes"] = np.array([1, 14, 8])
    proto = model(nodes, {"x": (1, 4, 8), "z": (1, 10, 8)}, ["y"], consts)
    said = r"Concat 'join'.*of 255 levels, 'scores' has [01]\. Export 'scores', 'boxes', 'more' as"
    with pytest.warns(HexconvWarning, match=said):
        hexconv.convert(proto, samples=FEEDS)
