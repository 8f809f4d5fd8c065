"""Means of means are one mean, which the DSP rounds once."""

from __future__ import annotations

import numpy as np
import pytest

from tests.onnx_graph.models import Array, model, node, ops, same_outputs

SHAPE = (2, 3, 4, 5)
ONE = ["ReduceMean", "Reshape"]


def reductions(
    op: str, first: list[int], second: list[int], keeps: tuple[int, int], opset: int = 18
) -> list[str]:
    """The ops left of a reduction behind another, whose values are checked."""
    nodes = [
        node(op, "x a", "t", keepdims=keeps[0]),
        node(op, "t b", "y", keepdims=keeps[1]),
    ]
    consts: dict[str, Array] = {"a": np.array(first), "b": np.array(second)}
    return ops(same_outputs(model(nodes, {"x": SHAPE}, consts=consts, opset=opset), x=SHAPE))


@pytest.mark.parametrize(
    ("first", "second", "keeps", "left"),
    [
        ([3], [2], (1, 1), ["ReduceMean"]),
        ([-1], [-1], (0, 0), ONE),
        ([2], [-1], (0, 1), ONE),
        ([-1], [2], (1, 0), ONE),
        ([1], [1, 2], (0, 0), ONE),
        ([2, 3], [1], (1, 1), ["ReduceMean"]),
    ],
)
def test_means_of_means_are_one(
    first: list[int], second: list[int], keeps: tuple[int, int], left: list[str]
) -> None:
    assert reductions("ReduceMean", first, second, keeps) == left


def test_a_sum_of_sums_is_one() -> None:
    assert reductions("ReduceSum", [3], [2], (1, 1)) == ["ReduceSum"]


def test_axes_that_are_not_side_by_side_stay_two() -> None:
    """Both at once would first move what is between them."""
    assert reductions("ReduceMean", [3], [1], (1, 1)) == ["ReduceMean", "ReduceMean"]


def test_an_axis_between_them_that_has_one_element_is_none() -> None:
    nodes = [node("ReduceMean", "x a", "t"), node("ReduceMean", "t b", "y")]
    consts = {"a": np.array([3]), "b": np.array([1])}
    proto = model(nodes, {"x": (2, 3, 1, 5)}, consts=consts, opset=18)
    assert ops(same_outputs(proto, x=(2, 3, 1, 5))) == ["ReduceMean"]


def test_a_mean_that_is_read_elsewhere_stays() -> None:
    nodes = [
        node("ReduceMean", "x a", "t"),
        node("ReduceMean", "t b", "u"),
        node("Sub", "t u", "y"),
    ]
    consts = {"a": np.array([3]), "b": np.array([2])}
    proto = model(nodes, {"x": SHAPE}, consts=consts, opset=18)
    assert ops(same_outputs(proto, x=SHAPE)) == ["ReduceMean", "ReduceMean", "Sub"]


@pytest.mark.parametrize("empty", [True, False])
def test_no_axes_are_all_or_none(empty: bool) -> None:
    read = "x _" if empty else "x"
    nodes = [
        node("ReduceMean", read, "t", noop_with_empty_axes=1),
        node("ReduceMean", "t b", "y"),
    ]
    proto = model(nodes, {"x": SHAPE}, consts={"b": np.array([2])}, opset=18)
    assert "ReduceMean" in ops(same_outputs(proto, x=SHAPE))
