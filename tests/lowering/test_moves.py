"""Reshape and Transpose nodes bring any tensor from any layout to any other, and few of them."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexconv.lowering.relayout import (
    Move,
    factored_order,
    fit,
    gather_axes,
    moves,
    split_reshape,
)
from hexconv.nnlib.layout import Layout

Sizes = list[int]


@st.composite
def layouts(draw: st.DrawFn, rank: int) -> Layout:
    """Any layout of `rank` axes: an order, cut into four."""
    order = draw(st.permutations(range(rank)))
    cuts = sorted(draw(st.lists(st.integers(0, rank), min_size=3, max_size=3)))
    edges = [0, *cuts, rank]
    b, h, w, d = (tuple(order[edges[i] : edges[i + 1]]) for i in range(4))
    return Layout((b, h, w, d))


@st.composite
def journeys(draw: st.DrawFn) -> tuple[Sizes, Layout, Layout]:
    """A shape of up to six axes, and two of its layouts."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    return shape, draw(layouts(len(shape))), draw(layouts(len(shape)))


def walk(array: np.ndarray, steps: list[Move]) -> np.ndarray:
    """What the nodes do, in NumPy."""
    for step in steps:
        array = array.reshape(step.shape) if step.perm is None else array.transpose(step.perm)
        assert array.shape == step.shape
    return array


def numbered(shape: Sizes) -> np.ndarray:
    return np.arange(prod(shape)).reshape(shape)


@given(journeys())
def test_a_tensor_arrives_as_the_target_lays_it(journey: tuple[Sizes, Layout, Layout]) -> None:
    shape, source, target = journey
    array = numbered(shape)
    arrived = walk(source.pack(array), moves(shape, source, target))
    np.testing.assert_array_equal(arrived, target.pack(array))


@given(journeys())
def test_a_reshape_still_to_be_made_is_made_on_the_way(
    journey: tuple[Sizes, Layout, Layout],
) -> None:
    shape, source, target = journey
    flat = (1, 1, 1, prod(shape))
    arrived = walk(source.pack(numbered(shape)).reshape(flat), moves(shape, source, target, flat))
    np.testing.assert_array_equal(arrived, target.pack(numbered(shape)))


@given(journeys())
def test_a_matching_layout_does_not_move(journey: tuple[Sizes, Layout, Layout]) -> None:
    shape, source, target = journey
    assert moves(shape, source, source) == []
    same = [a for a in source.order if shape[a] > 1] == [a for a in target.order if shape[a] > 1]
    steps = moves(shape, source, target)
    assert same == (not any(step.perm for step in steps))
    if same:
        assert len(steps) == (source.shape(shape) != target.shape(shape))


@given(journeys())
def test_no_node_does_nothing(journey: tuple[Sizes, Layout, Layout]) -> None:
    shape, source, target = journey
    current = source.shape(shape)
    for step in moves(shape, source, target):
        assert step.perm != (0, 1, 2, 3)
        assert step.perm is not None or step.shape != current
        current = step.shape


def test_an_image_turns_channels_last_in_one_transpose() -> None:
    steps = moves([1, 3, 8, 9], Layout.plain(4), Layout.channels_last(4))
    assert steps == [Move((1, 8, 9, 3), (0, 2, 3, 1))]


def test_heads_move_in_one_transpose() -> None:
    """[T, heads, size] to heads first: the usual attention."""
    source = Layout(((0,), (), (1,), (2, 3)))
    target = Layout(((0,), (2,), (1,), (3,)))
    steps = moves([1, 144, 4, 64], source, target)
    assert [step.perm is not None for step in steps] == [False, True]


def test_up_to_four_blocks_move_in_one_transpose() -> None:
    """Six axes of which neighbors stay neighbors are three blocks."""
    source = Layout(((0, 1), (2, 3), (4,), (5,)))
    target = Layout(((), (4, 5), (0, 1), (2, 3)))
    assert sum(step.perm is not None for step in moves([2, 3, 2, 3, 2, 3], source, target)) == 1


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[Sizes, Sizes, list[int]]:
    """A shape, another of as many elements, and an order of the first one's axes."""
    primes = draw(st.lists(st.sampled_from([2, 3]), min_size=1, max_size=5))

    def regrouped() -> Sizes:
        sizes = [1]
        for prime in primes:
            if draw(st.booleans()):
                sizes.append(1)
            sizes[-1] *= prime
        return sizes

    before, after = regrouped(), regrouped()
    return before, after, draw(st.permutations(range(len(before))))


@given(reshapes())
def test_a_reshape_that_moves_nothing_only_renames(case: tuple[Sizes, Sizes, list[int]]) -> None:
    before, after, order = case
    result = split_reshape(before, after, order)
    if result is None:
        return
    memory = numbered(before).transpose(order).reshape(-1)
    reshaped = numbered(before).reshape(after)
    ones = [axis for axis in range(len(after)) if axis not in result]
    np.testing.assert_array_equal(reshaped.transpose([*ones, *result]).reshape(-1), memory)


@given(reshapes())
def test_a_reshape_in_order_never_moves(case: tuple[Sizes, Sizes, list[int]]) -> None:
    before, after, _ = case
    assert split_reshape(before, after, range(len(before))) is not None


@given(reshapes())
def test_there_is_always_an_order_in_which_it_only_renames(
    case: tuple[Sizes, Sizes, list[int]],
) -> None:
    before, after, order = case
    wanted = factored_order(before, after, order)
    assert sorted(wanted) == [axis for axis, size in enumerate(before) if size != 1]
    assert split_reshape(before, after, wanted) is not None
    if split_reshape(before, after, order) is not None:
        assert wanted == [axis for axis in order if before[axis] != 1]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
def test_gathered_axes_are_in_the_requested_order(shape: Sizes, data: st.DataObject) -> None:
    order = data.draw(st.permutations([a for a, size in enumerate(shape) if size != 1]))
    layout = gather_axes(shape, order)
    assert [axis for axis in layout.order if shape[axis] != 1] == order
    assert fit(shape, order, layout.shape(shape)) is not None


def test_axes_that_do_not_fill_their_places_fit_nowhere() -> None:
    assert fit([4, 6], [0, 1], (1, 1, 8, 3)) is None
    assert fit([4, 6], [0, 1], (1, 1, 1, 24)) == Layout(((), (), (), (0, 1)))
    assert fit([1, 4, 6], [1, 2], (1, 4, 1, 6)) == Layout(((0,), (1,), (), (2,)))


@pytest.mark.parametrize("rank", range(1, 7))
def test_every_permutation_of_seven_axes_or_less_ends(rank: int) -> None:
    """More than four blocks take several transposes, but not endlessly many."""
    shape = [2] * (rank + 1)
    source = gather_axes(shape, range(rank + 1))
    target = gather_axes(shape, range(rank, -1, -1))
    steps = moves(shape, source, target)
    assert len(steps) <= 2 * (rank + 1)
    np.testing.assert_array_equal(
        walk(source.pack(numbered(shape)), steps), target.pack(numbered(shape))
    )
