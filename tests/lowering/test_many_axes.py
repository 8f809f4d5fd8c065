"""Reshapes through five and more axes that are really four: exact, in few data movements."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import NodeProto, helper

from hexconv.model import Model
from tests.lowering.proof import Array, emitted, matches, model

Step = tuple[str, list[int]]


def chain(shape: list[int], *steps: Step) -> Model:
    """Reshapes ("to"), transposes ("perm") and 1x1 convolutions ("conv") in a row, proved."""
    nodes: list[NodeProto] = []
    consts: dict[str, Array] = {}
    value = "x"
    for number, (kind, numbers) in enumerate(steps):
        result = f"v{number}"
        if kind == "perm":
            nodes.append(helper.make_node("Transpose", [value], [result], perm=numbers))
        else:
            const = f"c{number}"
            unit = np.eye(numbers[0], dtype=np.float32).reshape(numbers[0], numbers[0], 1, 1)
            consts[const] = unit if kind == "conv" else np.array(numbers, np.int64)
            op = "Conv" if kind == "conv" else "Reshape"
            nodes.append(helper.make_node(op, [value, const], [result]))
        value = result
    return matches(model(nodes, {"x": shape}, [value], consts))


def moved(converted: Model) -> int:
    """How many transposes are left."""
    return emitted(converted).get("Transpose_8", 0)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_channel_shuffle_between_convolutions_is_one_transpose(batch: int) -> None:
    apart, image = [batch, 3, 4, 5, 6], [batch, 12, 5, 6]
    steps: list[Step] = [
        ("conv", [12]),
        ("to", apart),
        ("perm", [0, 2, 1, 3, 4]),
        ("to", image),
        ("conv", [12]),
    ]
    assert moved(chain(image, *steps)) == 1


def test_a_pixel_shuffle_between_convolutions_is_two_transposes() -> None:
    steps: list[Step] = [
        ("conv", [16]),
        ("to", [1, 4, 2, 2, 5, 6]),
        ("perm", [0, 1, 4, 2, 5, 3]),
        ("to", [1, 4, 10, 12]),
        ("conv", [4]),
    ]
    assert moved(chain([1, 16, 5, 6], *steps)) == 2


def test_a_pixel_unshuffle() -> None:
    chain(
        [1, 4, 10, 12],
        ("to", [1, 4, 5, 2, 6, 2]),
        ("perm", [0, 1, 3, 5, 2, 4]),
        ("to", [1, 16, 5, 6]),
    )


def test_windows_are_cut_and_joined_by_one_transpose_each() -> None:
    cut: list[Step] = [("to", [1, 2, 4, 2, 4, 12]), ("perm", [0, 1, 3, 2, 4, 5])]
    join: list[Step] = [("to", [1, 2, 2, 4, 4, 12]), ("perm", [0, 1, 3, 2, 4, 5])]
    assert moved(chain([1, 8, 8, 12], *cut, ("to", [4, 16, 12]))) == 1
    assert moved(chain([4, 16, 12], *join, ("to", [1, 8, 8, 12]))) == 1


def test_heads_are_split_and_joined() -> None:
    split: list[Step] = [("to", [1, 10, 4, 6]), ("perm", [0, 2, 1, 3]), ("to", [4, 10, 6])]
    assert moved(chain([1, 10, 24], *split)) == 1
    qkv: list[Step] = [("to", [2, 10, 3, 2, 4]), ("perm", [2, 0, 3, 1, 4])]
    chain([2, 10, 24], *qkv, ("to", [3, 4, 10, 4]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=7), st.data())
def test_any_permutation_of_any_number_of_axes(sizes: list[int], data: st.DataObject) -> None:
    """[a] -> many axes -> permuted -> up to three axes."""
    perm = data.draw(st.permutations(range(len(sizes))))
    turned = [sizes[axis] for axis in perm]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sizes)), max_size=2)))
    bounds = [0, *cuts, len(sizes)]
    joined = [math.prod(turned[a:b]) for a, b in pairwise(bounds)]
    start = [math.prod(sizes[:1]), math.prod(sizes[1:])]
    chain(start, ("to", list(sizes)), ("perm", list(perm)), ("to", joined))
