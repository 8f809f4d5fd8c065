"""Heads are merged by SpaceToDepth and parted by DepthToSpace: one move instead of two."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from tests.lowering.proof import ints, model, numbers
from tests.optimize.proof import applied, better, converted, errors, ops

NAME = "block_moves"
HEADS, TIME = 3, 10


def parted(width: int, *, perm: tuple[int, ...] = (0, 2, 1, 3), also: str = "") -> ModelProto:
    """A sigmoid split into heads, each times a matrix: the product needs heads outermost."""
    consts = {"s": ints(1, TIME, HEADS, width), "w": numbers((1, HEADS, width, 32), 2)}
    if perm != (0, 2, 1, 3):
        consts["w"] = numbers((1, TIME, HEADS, 32), 2)
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["g"]),
        helper.make_node("Reshape", ["g", "s"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=perm),
        helper.make_node("MatMul", ["t", "w"], ["y"]),
    ]
    shape = (1, TIME, HEADS * width)
    return model(nodes, {"x": shape}, ["y", *([also] if also else [])], consts)


def merged(width: int, batch: int = 1) -> ModelProto:
    """A product whose heads come together for one over all of them."""
    consts = {"s": ints(batch, TIME, HEADS * width), "w": numbers((batch, HEADS, 16, width), 2)}
    consts["l"] = 0.1 * numbers((HEADS * width, 24), 3)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Transpose", ["m"], ["t"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["t", "s"], ["r"]),
        helper.make_node("MatMul", ["r", "l"], ["y"]),
    ]
    return model(nodes, {"x": (batch, HEADS, TIME, 16)}, ["y"], consts)


def same_bits(proto: ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, int]:
    """Ops with the rewrite, whose outputs are those without it."""
    on, off = better(proto, NAME, feeds, 8.0)
    assert ops(off)["Transpose_8"] > ops(on).get("Transpose_8", 0)
    assert ops(off)["QuantizedReshape"] > ops(on).get("QuantizedReshape", 0)
    after, before = (hexconv.simulate(item, feeds, library="v60")["y"] for item in (on, off))
    np.testing.assert_array_equal(after, before)
    return ops(on)


@pytest.mark.parametrize("width", [20, 36, 48])
def test_heads_that_come_together_are_space_to_depth(width: int) -> None:
    assert same_bits(merged(width), {"x": numbers((1, HEADS, TIME, 16))})["SpaceToDepth_8"] == 1


@pytest.mark.parametrize("width", [36, 48, 80])
def test_heads_that_come_apart_are_depth_to_space(width: int) -> None:
    feeds = {"x": numbers((1, TIME, HEADS * width))}
    assert same_bits(parted(width), feeds)["DepthToSpace_8"] == 1


@pytest.mark.parametrize("width", [16, 32, 64])
def test_heads_that_a_transpose_parts_cheaper_are_left_to_it(width: int) -> None:
    """Whole vectors would take the d32 form, narrow ones are slow."""
    proto, feeds = parted(width), {"x": numbers((1, TIME, HEADS * width))}
    on = converted(proto, feeds)
    assert NAME not in applied(on) and max(errors(on, proto, feeds)) <= 8.0


@pytest.mark.parametrize("also", ["r", "g"])
def test_a_form_that_others_read_keeps_it_away(also: str) -> None:
    proto, feeds = parted(36, also=also), {"x": numbers((1, TIME, HEADS * 36))}
    assert max(errors(converted(proto, feeds), proto, feeds)) <= 8.0


def test_other_orders_are_left_alone() -> None:
    proto, feeds = parted(36, perm=(0, 1, 3, 2)), {"x": numbers((1, TIME, HEADS * 36))}
    on = converted(proto, feeds)
    assert NAME not in applied(on) and max(errors(on, proto, feeds)) <= 8.0


def test_examples_side_by_side_do_not_mix() -> None:
    proto, feeds = merged(36, batch=2), {"x": numbers((2, HEADS, TIME, 16))}
    assert max(errors(converted(proto, feeds), proto, feeds)) <= 8.0
