"""Comparisons, logic and Where: masks are exact, values as exact as their quantization."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto, helper

import hexconv
from hexconv.lowering.mask import code_test
from hexconv.quantize import cover
from tests.lowering.proof import (
    STEP,
    decibels,
    emitted,
    float_outputs,
    matches,
    model,
    numbers,
    on_codes,
    same_on_the_library,
)

# What Where picks is rounded to the result's own range; a mask as a number has the error of an LSB
# is rounded up by (2^-16 of it, for each of 255).
PICKED, AS_NUMBER = 0.51, 0.01
OPS = ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]
HOLDS = {
    "Equal": np.equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
}
SHAPE = (2, 3, 4, 5)


def picked(op: str, left: str, right: str) -> list[NodeProto]:
    return [
        helper.make_node(op, [left, right], ["mask"], name="compare"),
        helper.make_node("Where", ["mask", "x", "other"], ["y"], name="where"),
    ]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("number", [0.0, 0.5, -1.25, -9.0, 9.0])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_constant_is_compared_exactly_as_an_integer(
    op: str, number: float, swapped: bool
) -> None:
    sides = ("c", "x") if swapped else ("x", "c")
    other = np.zeros(SHAPE, np.float32)
    other[0] = 2.0
    consts = {"c": np.float32(number), "other": other}
    converted = matches(model(picked(op, *sides), {"x": SHAPE}, ["y"], consts), PICKED)
    assert emitted(converted)["Select_8"] == 1


@given(
    op=st.sampled_from(OPS), number=st.floats(-10, 10), low=st.floats(-5, 0), high=st.floats(0.1, 5)
)
def test_comparing_quantized_values_equals_comparing_floats(
    op: str, number: float, low: float, high: float
) -> None:
    value_range = cover(low, high)
    values = (np.arange(256) - value_range.zero) * value_range.step
    test, code = code_test(op, number, value_range)
    assert 0 < code < 256, "a single value of 0 is compared with uninitialized memory"
    said = HOLDS[test](np.arange(256), code)
    clear = np.abs(values - number) > value_range.step
    if op == "Equal":
        assert said.sum() <= 1 and not said[clear].any()
    else:
        assert (said == HOLDS[op](values, number))[clear].all()


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("shape", [SHAPE, (5,), (3, 1, 1), (2, 1, 1, 5)])
def test_two_tensors_are_compared_in_one_range(op: str, shape: tuple[int, ...]) -> None:
    nodes = picked(op, "x", "b")
    feeds = {"x": on_codes(SHAPE), "b": on_codes(shape, 1), "other": on_codes(SHAPE, 2)}
    inputs = {name: array.shape for name, array in feeds.items()}
    matches(model(nodes, inputs, ["y"]), PICKED, feeds)


def test_logic_is_exact() -> None:
    nodes = [
        helper.make_node("Greater", ["x", "zero"], ["a"], name="a"),
        helper.make_node("Less", ["x", "one"], ["b"], name="b"),
        helper.make_node("And", ["a", "b"], ["both"], name="and"),
        helper.make_node("Or", ["a", "known"], ["any"], name="or"),
        helper.make_node("Xor", ["both", "any"], ["odd"], name="xor"),
        helper.make_node("Not", ["odd"], ["even"], name="not"),
        helper.make_node("Cast", ["even"], ["y"], name="cast", to=TensorProto.FLOAT),
    ]
    known = np.arange(5) % 2 == 0
    consts = {"zero": np.float32(0), "one": np.float32(1), "known": known}
    matches(model(nodes, {"x": SHAPE}, ["y"], consts), AS_NUMBER)


def test_a_number_is_true_where_it_is_not_zero() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["mask"], name="cast", to=TensorProto.BOOL),
        helper.make_node("Where", ["mask", "x", "c"], ["y"], name="where"),
    ]
    matches(model(nodes, {"x": SHAPE}, ["y"], {"c": np.float32(-4.0)}), PICKED)


@pytest.mark.parametrize("mask", [(5,), (4, 1), (2, 3, 4, 5)])
def test_a_constant_mask_picks(mask: tuple[int, ...]) -> None:
    chosen = np.random.default_rng(0).integers(0, 2, mask).astype(bool)
    nodes = [helper.make_node("Where", ["c", "a", "b"], ["y"], name="where")]
    matches(model(nodes, {"a": SHAPE, "b": (4, 5)}, ["y"], {"c": chosen}), PICKED)


def test_a_mask_may_be_the_models_output() -> None:
    nodes = [
        helper.make_node("Less", ["x", "c"], ["mask"], name="less"),
        helper.make_node("Cast", ["mask"], ["y"], name="cast", to=TensorProto.FLOAT),
    ]
    feeds = {"x": on_codes(SHAPE)}
    consts = {"c": np.float32(3 * STEP)}
    matches(model(nodes, {"x": SHAPE}, ["y"], consts), AS_NUMBER, feeds)


@pytest.mark.parametrize("louder", [10.0, 100.0])
@pytest.mark.parametrize("branch", [1, 2])
def test_a_branch_that_is_never_taken_costs_no_codes(branch: int, louder: float) -> None:
    names = ["mask", "x", "z"] if branch == 2 else ["mask", "z", "x"]
    op = "Less" if branch == 2 else "Greater"
    nodes = [
        helper.make_node(op, ["x", "nine"], ["mask"]),
        helper.make_node("Where", names, ["y"], name="where"),
    ]
    proto = model(nodes, {"x": SHAPE, "z": SHAPE}, ["y"], {"nine": np.float32(9)})
    samples = [{"x": numbers(SHAPE, i), "z": louder * numbers(SHAPE, 7 + i)} for i in range(2)]
    assert decibels(proto, samples) > 38.0


def test_an_elu_written_out_has_the_range_that_is_taken() -> None:
    """exp(x) reaches 400 where x is taken; a table has any output range."""
    nodes = [
        helper.make_node("Greater", ["x", "zero"], ["mask"]),
        helper.make_node("Exp", ["x"], ["e"]),
        helper.make_node("Sub", ["e", "one"], ["n"]),
        helper.make_node("Where", ["mask", "x", "n"], ["y"]),
    ]
    proto = model(nodes, {"x": SHAPE}, ["y"], {"zero": np.float32(0), "one": np.float32(1)})
    assert decibels(proto, [{"x": 2 * numbers(SHAPE, i)} for i in range(2)]) > 35.0


@pytest.mark.parametrize("op", ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"])
@pytest.mark.parametrize("positions_first", [True, False])
def test_positions_are_compared_with_whole_lengths_exactly(op: str, positions_first: bool) -> None:
    """Whole numbers are levels of both operands: the last position is not below its own number."""
    operands = ["positions", "length"] if positions_first else ["length", "positions"]
    nodes = [
        helper.make_node(op, operands, ["kept"]),
        helper.make_node("Where", ["kept", "x", "zero"], ["y"]),
    ]
    consts = {"positions": np.arange(40, dtype=np.float32), "zero": np.zeros(1, np.float32)}
    proto = model(nodes, {"x": (1, 6, 40), "length": (1, 1, 1)}, ["y"], consts)
    x = on_codes((1, 6, 40)) + np.float32(8)  # none is 0
    feeds = [{"x": x, "length": np.full((1, 1, 1), n, np.float32)} for n in (7, 40, 1, 30, 39, 13)]
    made = hexconv.convert(proto, samples=feeds)
    for feed in feeds:
        wanted = float_outputs(proto, feed)[0]
        np.testing.assert_array_equal(hexconv.simulate(made, feed)["y"] != 0, wanted != 0)
        same_on_the_library(made, feed)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("right", ["c", "z"])
@pytest.mark.parametrize("value", [-1.0, 0.0, 0.5, 1.0])
def test_a_single_number_is_compared_where_it_is_0(op: str, right: str, value: float) -> None:
    """The library compares a single first operand of 0 with what its memory has."""
    nodes = [
        helper.make_node(op, ["x", right], ["mask"]),
        helper.make_node("Where", ["mask", "one", "two"], ["y"]),
    ]
    consts = {"c": np.float32(0.25), "one": np.float32(1), "two": np.float32(2)}
    shapes = {"x": (1, 1), **({"z": (1, 1)} if right == "z" else {})}
    pairs = [(x, z) for x in (-1.0, 0.25, 1.0) for z in (-1.0, 0.25, 1.0)]
    feeds = [
        {"x": np.full((1, 1), x, np.float32), "z": np.full((1, 1), z, np.float32)} for x, z in pairs
    ]
    feeds = [{name: feed[name] for name in shapes} for feed in feeds]
    made = hexconv.convert(model(nodes, shapes, ["y"], consts), samples=feeds)
    feed = {name: np.full((1, 1), value if name == "x" else 0.25, np.float32) for name in shapes}
    same_on_the_library(made, feed)
    wanted = 1.0 if HOLDS[op](value, 0.25) else 2.0
    assert hexconv.simulate(made, feed)["y"].item() == pytest.approx(wanted, abs=0.01)


def test_a_single_mask_is_negated_and_combined() -> None:
    nodes = [
        helper.make_node("Greater", ["x", "c"], ["above"]),
        helper.make_node("Not", ["above"], ["below"]),
        helper.make_node("Xor", ["above", "below"], ["either"]),
        helper.make_node("Cast", ["either"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["below"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["number", "y"], ["z"]),
    ]
    proto = model(nodes, {"x": (1, 1)}, ["z"], {"c": np.float32(0.5)})
    feeds = [{"x": np.full((1, 1), v, np.float32)} for v in (0.0, 1.0)]
    made = hexconv.convert(proto, samples=feeds)
    for feed, wanted in zip(feeds, (2.0, 1.0), strict=True):
        same_on_the_library(made, feed)
        assert hexconv.simulate(made, feed)["z"].item() == pytest.approx(wanted, abs=0.02)
