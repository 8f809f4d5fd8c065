"""Element-wise ops broadcast as NumPy does, and move the small operand, not the large one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.lowering.proof import decibels, emitted, matches, model, numbers, of_two

FEW = settings(max_examples=25, deadline=None, derandomize=True)
# One rounding to the output's values, and fixed-point factors of 15 bits.
STEPS = 1.0


@st.composite
def pairs(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast to one of up to four axes."""
    full = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))

    def part() -> tuple[int, ...]:
        kept = draw(st.integers(0, len(full) - 1))
        return tuple(s if draw(st.booleans()) else 1 for s in full[kept:])

    return part(), part()


@FEW
@given(st.sampled_from(["Add", "Sub", "Mul", "Max", "Min"]), pairs())
def test_computed_operands(op: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    matches(of_two(op, *shapes), STEPS)


@pytest.mark.parametrize("op", ["Add", "Mul"])
@pytest.mark.parametrize("shape", [(), (1,), (6,), (5, 1), (4, 1, 6), (4, 5, 1), (2, 1, 5, 1)])
def test_constants_of_any_shape(op: str, shape: tuple[int, ...]) -> None:
    nodes = [helper.make_node(op, ["x", "c"], ["y"])]
    constant = np.round(numbers(shape) * 32) / 32
    # The constant is rounded to its own 256 levels too.
    matches(model(nodes, {"x": (2, 4, 5, 6)}, ["y"], {"c": constant.astype(np.float32)}), 1.5)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3, 2, 3, 4), (2, 1, 2, 1, 4)),
        ((2, 3, 2, 3, 4), (3, 1, 3, 1)),
        ((2, 1, 3, 1, 2), (3, 1, 4, 1)),
    ],
)
def test_five_axes_that_broadcast_in_turn_are_tiled(
    left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    matches(of_two("Mul", left, right), STEPS)


def test_the_large_operand_is_not_moved() -> None:
    """A bias in ONNX order on an image that is channels last: the constant is packed, no node."""
    kernel = numbers((4, 3, 1, 1))
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Mul", ["c", "g"], ["m"]),
        helper.make_node("Conv", ["m", "w2"], ["y"]),
    ]
    consts = {"w": kernel, "g": numbers((4, 1, 1)), "w2": numbers((2, 4, 1, 1))}
    proto = model(nodes, {"x": (1, 3, 6, 6)}, ["y"], consts)
    counts = emitted(matches(proto, 4.0))
    assert counts == {"Supernode_8x8p32to8": 2, "QuantizedMul_8x8to8": 1}


@pytest.mark.parametrize("kind", ["relu * -c", "relu * -v", "clip * -v", "halves", "two inputs"])
def test_products_of_the_models_input_are_right_in_each_sample(kind: str) -> None:
    """A run decides where the input's zero lies: the product's offset has 16 bits."""
    shape = (1, 8, 20)
    consts = {"v": -np.abs(numbers((8, 1), 2)), "c": np.float32([-1.33]), "top": np.float32(6)}
    consts |= {"zero": np.float32(0)}
    first = {
        "halves": helper.make_node("Split", ["x"], ["r", "b"], axis=1, num_outputs=2),
        "clip * -v": helper.make_node("Clip", ["x", "zero", "top"], ["r"]),
    }.get(kind, helper.make_node("Relu", ["x"], ["r"]))
    operands = {"halves": ["r", "b"], "two inputs": ["x", "z"], "relu * -c": ["r", "c"]}
    nodes = [first, helper.make_node("Mul", operands.get(kind, ["r", "v"]), ["y"])]
    proto = model(nodes, {"x": shape, "z": shape}, ["y"], consts)
    samples = []
    for i, (low, high) in enumerate(((1, 2), (0.8, 2), (0.6, 1.8), (0.4, 1.6))):
        below = -np.abs(low * numbers((1, 4, 20), i))
        above = high * np.random.default_rng(i).random((1, 4, 20), np.float32)
        x = np.concatenate([below, above], axis=1)
        samples.append({"x": x, "z": np.float32(0.3) - x})
    assert decibels(proto, samples) > 34.0
