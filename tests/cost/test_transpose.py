"""Which strategy the library transposes with (gentranspose.c)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexconv.cost.transpose import strategy


@pytest.mark.parametrize(
    ("shape", "perm", "kind"),
    [
        ((1, 1, 144, 256), (0, 2, 1, 3), "copy"),  # an axis of one moves: nothing does
        ((1, 144, 4, 64), (0, 2, 1, 3), "rows"),  # heads: runs of 64 bytes
        ((1, 4, 144, 64), (0, 1, 3, 2), "bulk"),
        ((1, 16, 16, 64), (0, 1, 3, 2), "scalar"),  # 16 columns are too few for bulk
        ((1, 32, 32, 16), (0, 2, 1, 3), "tiles"),
    ],
)
def test_strategies(shape: tuple[int, ...], perm: tuple[int, ...], kind: str) -> None:
    assert strategy(shape, perm).kind == kind


@given(st.lists(st.integers(1, 40), min_size=4, max_size=4), st.permutations(range(4)))
def test_every_transposition_moves_every_byte_once(shape: list[int], perm: list[int]) -> None:
    found = strategy(shape, perm)
    if found.kind != "copy":
        assert found.runs * found.run == shape[0] * shape[1] * shape[2] * shape[3]
    assert found.calls >= 1


@given(st.lists(st.integers(1, 40), min_size=4, max_size=4))
def test_leaving_the_axes_where_they_are_is_a_copy(shape: list[int]) -> None:
    assert strategy(shape, (0, 1, 2, 3)).kind == "copy"
