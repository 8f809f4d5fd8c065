"""Reductions over any axes, kept or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.lowering.proof import (
    decibels,
    emitted,
    ints,
    matches,
    model,
    numbers,
    on_codes,
    one,
    unsupported_op,
)

AXES = [(1,), (-1,), (0, 2), (1, 2), (2, 3), (0, 1, 2, 3), None]
SHAPE = (2, 6, 5, 7)

# Measured distances: a mean is rounded twice (0.9 LSB), its input adds its own rounding.
STEPS = {
    "ReduceMean": 0.95,
    "ReduceSum": 0.95,
    "ReduceMax": 1e-4,
    "ReduceMin": 1e-4,
    "ReduceL1": 1.5,
    "ReduceL2": 1.5,
    "ReduceSumSquare": 1.5,
    "ReduceLogSumExp": 1.5,
}


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("op", STEPS)
def test_reductions(op: str, axes: tuple[int, ...] | None, keep: int) -> None:
    consts = [] if axes is None else [ints(*axes)]
    matches(one(op, SHAPE, *consts, keepdims=keep), STEPS[op])


@pytest.mark.parametrize("few", [1, 2, 5, 16])
def test_small_norms_of_few_elements_are_not_lost(few: int) -> None:
    """Rows a hundred times apart: squares of 8 bits would lose the small ones (11 LSB).

    An LSB of the pool is sqrt(n) of the input's, and half of it is lost.
    """
    data = on_codes((12, few)) * np.logspace(-2, 0, 12, dtype=np.float32)[:, None]
    matches(one("ReduceL2", data.shape, ints(1)), 2.5, {"x": data})


@pytest.mark.parametrize("keep", [0, 1])
def test_logarithm_of_a_sum(keep: int) -> None:
    """The logarithm is steepest where the sum is small: an LSB there is many of the result's."""
    feeds = {"x": on_codes(SHAPE, zero=0) + 1.0}
    matches(one("ReduceLogSum", SHAPE, ints(1), keepdims=keep), 3.0, feeds)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.data())
def test_maxima_and_means_of_any_shape(shape: list[int], data: st.DataObject) -> None:
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    keep = data.draw(st.sampled_from([0, 1]))
    for op in ("ReduceMax", "ReduceMin", "ReduceMean"):
        matches(one(op, shape, ints(*axes), keepdims=keep), STEPS[op])


def test_axes_of_one_element_are_only_renamed() -> None:
    for op in ("ReduceSum", "ReduceMean", "ReduceMax"):
        assert "QuantizedMean_8" not in emitted(matches(one(op, (2, 1, 5), ints(1), keepdims=0)))


def test_no_axes_mean_all_or_none() -> None:
    matches(one("ReduceSum", (2, 5, 7), ints(), keepdims=1), 0.95)
    matches(one("ReduceSum", (2, 5, 7), ints(), noop_with_empty_axes=1))
    matches(one("ReduceMax", (2, 5, 7), ints(), noop_with_empty_axes=1))


def test_products_of_few() -> None:
    """Two products, each rounded."""
    matches(one("ReduceProd", (2, 5, 3), ints(-1), keepdims=0), 1.6)
    assert "16 elements" in unsupported_op(one("ReduceProd", (2, 5, 30), ints(-1)))


@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_running_sums(axis: int, exclusive: int, reverse: int) -> None:
    """A product with ones is exact in int32, then rounded once."""
    place = np.array(axis, np.int64)
    matches(one("CumSum", (3, 7, 4), place, exclusive=exclusive, reverse=reverse), 0.51)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_positions_of_extrema(op: str, axis: int) -> None:
    matches(one(op, (3, 5, 7, 6), axis=axis, keepdims=axis % 2))


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_the_last_of_equals(op: str) -> None:
    data = np.array([[1.0, 3.0, 3.0, 0.0, 0.0], [2.0, 2.0, 2.0, -1.0, 2.0]], np.float32)
    matches(one(op, (2, 5), axis=1, select_last_index=1), feeds={"x": data})
    matches(one(op, (2, 5), axis=1, select_last_index=0), feeds={"x": data})


def test_hardmax_marks_the_first_maximum() -> None:
    data = np.array([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, -1.0]], np.float32)
    matches(one("Hardmax", (2, 4)), feeds={"x": data})
    matches(one("Hardmax", (3, 5, 7, 6), axis=1))
    matches(one("Hardmax", (3, 4, 6), opset=11, axis=1))


def test_the_one_largest() -> None:
    matches(one("TopK", (3, 5, 7), ints(1), outputs=2, axis=1))
    matches(one("TopK", (3, 5, 7), ints(1), outputs=2, axis=-1, largest=0))
    assert "single largest" in unsupported_op(one("TopK", (3, 5, 7), ints(2), outputs=2))


def test_positions_beyond_a_byte_are_rejected() -> None:
    assert "255" in unsupported_op(one("ArgMax", (2, 300), axis=1))


@pytest.mark.parametrize("op", ["AveragePool", "ReduceMean", "GlobalAveragePool"])
@pytest.mark.parametrize("size", [(2, 3), (4, 6)])
@pytest.mark.parametrize("bounds", [(0.0, 0.3), (-0.2, 0.2), (0.0, 1.0)])
def test_a_mean_that_is_clipped_keeps_its_scale(
    op: str, size: tuple[int, int], bounds: tuple[float, float]
) -> None:
    """QuantizedMean_8 holds in_step / (out_step * n) under 1: not every output range."""
    attrs = {"AveragePool": {"kernel_shape": size}, "ReduceMean": {"axes": [2, 3]}}.get(op, {})
    nodes = [
        helper.make_node(op, ["x"], ["m"], **attrs),
        helper.make_node("Clip", ["m", "low", "high"], ["y"]),
    ]
    consts = dict(zip(("low", "high"), map(np.float32, bounds), strict=True))
    proto = model(nodes, {"x": (1, 16, *size)}, ["y"], consts, opset=13)
    samples = [{"x": 6 * numbers((1, 16, *size), i)} for i in range(3)]
    plain = decibels(proto, samples, optimize="none")
    assert plain > 28.0 and decibels(proto, samples) > plain - 1.0
