"""`accuracy="high"` takes wider ranges where few recordings do not reach what others do."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.onnx_graph import load
from hexconv.refine.wider_ranges import wider_ranges
from tests.lowering.proof import Array, ints, model, numbers

WIDTH, ROWS = 16, (1, 12, 16)
LEVELS = (1.0, 0.9, 1.1, 1.45)
"""How loud the recordings are that the samples are cut of."""
NAME = "ranges 20 % wider than what was seen"


def pooled() -> onnx.ModelProto:
    """Two Linears, the largest of all rows, and another Linear."""
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["l"]),
        helper.make_node("Relu", ["l"], ["r"]),
        helper.make_node("MatMul", ["r", "b"], ["m"]),
        helper.make_node("ReduceMax", ["m", "axes"], ["p"], keepdims=1),
        helper.make_node("MatMul", ["p", "c"], ["y"]),
    ]
    consts = {n: 0.3 * numbers((WIDTH, WIDTH), i) for i, n in enumerate("abc")}
    return model(nodes, {"x": ROWS}, ["y"], consts | {"axes": ints(1)})


def cut(levels: tuple[float, ...], first: int = 0) -> list[dict[str, Array]]:
    """Four samples of each recording."""
    rows = numbers(ROWS, 100)
    return [
        {"x": np.float32(level * (rows + 0.1 * numbers(ROWS, first + 4 * place + n)))}
        for place, level in enumerate(levels)
        for n in range(4)
    ]


@pytest.mark.parametrize(("levels", "kept"), [(LEVELS, True), ((1.0,) * 4, False)])
def test_ranges_are_wider_where_one_recording_of_four_is_clipped(
    levels: tuple[float, ...], kept: bool
) -> None:
    made = hexconv.convert(pooled(), samples=cut(levels), accuracy="high", extra_packets=0.0)
    assert made.conversion is not None
    (step,) = [step for step in made.conversion.refined if step.name == NAME]
    assert step.kept is kept


def test_ranges_are_no_wider_than_what_ops_return() -> None:
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Clip", ["x", "low", "high"], ["c"]),
    ]
    bounds = {"low": np.float32(-1.0), "high": np.float32(6.0)}
    graph = load(model(nodes, {"x": (1, 8)}, ["s", "r", "c"], bounds))
    ranges = {"s": (0.1, 0.9), "r": (0.0, 2.0), "c": (-1.0, 5.5), "x": (-4.0, 2.0)}
    found = wider_ranges(graph, {**ranges, "x/channel/3": (-4.0, 2.0), "far": (1.0, 5.0)}, 0.2)
    assert found == {
        "s": (0.1, 1.0),
        "r": (0.0, pytest.approx(2.4)),
        "c": (-1.0, 6.0),
        "x": pytest.approx((-4.8, 2.4)),
        "x/channel/3": (-4.0, 2.0),
        "far": (1.0, 6.0),
    }
