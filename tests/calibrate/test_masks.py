"""Attention masks leave the scores their resolution."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, helper

import hexconv
from hexconv.calibrate.masks import MARGIN, bounded_masks
from hexconv.errors import HexconvError
from hexconv.onnx_graph import load
from tests.lowering.proof import Array, model, numbers, prove

SHAPE = (1, 2, 6, 6)


def attention(how: str, far: float) -> tuple[list[NodeProto], dict[str, Array]]:
    """Softmax of scores to which a causal mask is added, or which it replaces."""
    later = np.triu(np.ones((6, 6), bool), 1)
    if how == "Add":
        consts: dict[str, Array] = {"m": np.where(later, np.float32(far), np.float32(0))}
        mask = helper.make_node("Add", ["x", "m"], ["masked"], name="mask")
    else:
        consts = {"m": later, "far": np.array(far, np.float32)}
        mask = helper.make_node("Where", ["m", "far", "x"], ["masked"], name="mask")
    return [mask, helper.make_node("Softmax", ["masked"], ["y"], name="softmax")], consts


@pytest.mark.parametrize("how", ["Add", "Where"])
@pytest.mark.parametrize("far", [-1e4, -1e9, -np.inf])
def test_masked_softmax_is_right_in_8_bits(how: str, far: float) -> None:
    nodes, consts = attention(how, far)
    proto = model(nodes, {"x": SHAPE}, ["y"], consts)
    # Scores of -3..3 and the margin in 255 levels: 0.07 per level, 7 % of a probability at most.
    prove(proto, 10.0, {"x": numbers(SHAPE)})


def test_a_masked_score_is_a_margin_below_the_others() -> None:
    nodes, consts = attention("Add", -1e9)
    graph = load(model(nodes, {"x": SHAPE}, ["y"], consts))
    found = bounded_masks(graph, {"x": (-3.0, 4.0), "masked": (-1e9, 4.0), "y": (0.0, 1.0)})
    assert found["masked"] == (-3.0 - MARGIN, 4.0)
    assert found["x"] == (-3.0, 4.0)


def test_what_others_read_too_is_left_alone() -> None:
    nodes, consts = attention("Add", -1e9)
    graph = load(model(nodes, {"x": SHAPE}, ["y", "masked"], consts))
    observed = {"x": (-3.0, 4.0), "masked": (-1e9, 4.0), "y": (0.0, 1.0)}
    assert bounded_masks(graph, observed) == observed


def test_infinity_elsewhere_is_rejected() -> None:
    nodes = [helper.make_node("Add", ["x", "m"], ["y"], name="node")]
    consts = {"m": np.array([-np.inf, 0], np.float32)}
    with pytest.raises(HexconvError, match="infinite"):
        hexconv.convert(model(nodes, {"x": (3, 2)}, ["y"], consts))
