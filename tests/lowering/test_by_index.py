"""Gathers, scatters and reversals whose indices are constants: exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hexconv.decompose.by_position import row_length
from tests.lowering.proof import Array, emitted, ints, matches, model, on_codes, one, unsupported_op

FEW = settings(max_examples=15, deadline=None, derandomize=True)


def random_index(high: int, shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(-high, high, shape)


@FEW
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_gather_elements(shape: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    part = tuple(data.draw(st.integers(1, size)) for size in shape)
    index = random_index(shape[axis], part, data.draw(st.integers(0, 9)))
    matches(one("GatherElements", shape, index, axis=axis))


def test_indices_of_whole_rows_gather_rows() -> None:
    rows = np.tile(ints(3, 0, 5)[:, None], (1, 8))
    assert "Gather_8" not in emitted(matches(one("GatherElements", (6, 8), rows, axis=0)))


@pytest.mark.parametrize(
    ("index", "batch"),
    [
        (ints([0, 1], [2, -1], [1, 1]), 0),
        (ints([0], [2]), 0),
        (ints([[0], [1]], [[2], [-1]], [[1], [1]]), 1),
    ],
)
def test_gather_nd(index: Array, batch: int) -> None:
    matches(one("GatherND", (3, 5, 4), index, batch_dims=batch))


@pytest.mark.parametrize("attrs", [{"axis": 1}, {"axis": -1}, {}])
def test_compress(attrs: dict[str, int]) -> None:
    matches(one("Compress", (3, 5, 4), np.array([True, False, True, True]), **attrs))


@pytest.mark.parametrize(("batch", "time"), [(1, 0), (0, 1)])
def test_reverse_sequence(batch: int, time: int) -> None:
    shape = (3, 6, 4) if batch == 0 else (6, 3, 4)
    matches(one("ReverseSequence", shape, ints(6, 2, 4), batch_axis=batch, time_axis=time))


def scattered(op: str, index: Array, updates: tuple[int, ...], **attrs: Any) -> Any:
    values = on_codes(updates, 3)
    return one(op, (4, 5, 6), index, values, **attrs)


def test_scatters() -> None:
    """Updates may widen the range: then the data is rounded once."""
    index = np.stack([np.random.default_rng(i).permutation(5)[:3] for i in range(4)])
    places = np.tile(index[:, :, None], (1, 1, 6))
    matches(scattered("ScatterElements", places, (4, 3, 6), axis=1))
    matches(scattered("ScatterND", ints([1], [3]), (2, 5, 6)))
    matches(scattered("ScatterND", ints([0, 4], [3, 1]), (2, 6)))


@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min"])
def test_scatters_that_combine(reduction: str) -> None:
    """One more rounding, of the sum or product."""
    matches(scattered("ScatterND", ints([1], [3]), (2, 5, 6), reduction=reduction), 1.1)


def test_scatters_that_collide_are_rejected() -> None:
    assert "repeated" in unsupported_op(scattered("ScatterND", ints([1], [1]), (2, 5, 6)))


@pytest.mark.parametrize("op", ["GatherElements", "GatherND"])
def test_computed_indices_are_rejected(op: str) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node(op, ["x", "i"], ["y"]),
    ]
    feeds = {"x": np.zeros((2, 2), np.float32)}
    assert op in unsupported_op(model(nodes, {"x": (2, 2)}, ["y"]), feeds)


@pytest.mark.parametrize("op", ["Gather", "GatherElements"])
def test_an_index_out_of_range_is_named(op: str) -> None:
    assert "7" in unsupported_op(one(op, (3, 4), np.full((3, 4), 7, np.int64)))


def test_rows_are_as_long_as_they_can_be() -> None:
    positions = np.arange(24).reshape(4, 6)[[2, 0]]
    assert row_length(positions, [24]) == 6
    assert row_length(positions[:, ::-1], [24]) == 1
