"""The requested range of a binary op is one that its 16-bit arithmetic supports."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

import hexconv
from hexconv.lowering.range_limits import always_fits, request
from hexconv.quantize import Range, cover, run_time_ranges
from hexconv.simulator import Simulator
from hexconv.simulator.kernels import elementwise
from hexconv.simulator.kernels.multiply import Operands, product_of, scaling_for
from tests.lowering.proof import emitted, matches, model, on_codes

RANGES = st.builds(cover, st.floats(-50, 0), st.one_of(st.just(0.0), st.floats(0.01, 50))).filter(
    lambda value_range: value_range.step > 1e-6
)
F32 = np.float32


@given(left=RANGES, right=RANGES, wanted=RANGES)
def test_a_product_gets_a_range_whose_offset_does_not_wrap(
    left: Range, right: Range, wanted: Range
) -> None:
    value_range = request("Mul", left, right, wanted)
    operands = Operands(
        (F32(left.min), F32(left.max)),
        (F32(right.min), F32(right.max)),
        F32(value_range.min),
        F32(value_range.max),
    )
    scaling = scaling_for(product_of(operands), F32(value_range.min), F32(value_range.max))
    zero = (0 - product_of(operands).bias) * scaling.scale + 16384 >> 15
    code = (zero + scaling.offset) >> scaling.shift
    assert abs(code - value_range.zero) <= 1, "a product of zero must be the zero point"


@given(left=RANGES, right=RANGES, wanted=RANGES)
def test_what_fits_is_taken_as_it_is_wanted(left: Range, right: Range, wanted: Range) -> None:
    for op in ("Add", "Max", "Min"):
        value_range = request(op, left, right, wanted)
        assert value_range.zero == wanted.zero and value_range.step >= wanted.step
        if wanted.step >= max(left.step, right.step) / 10:
            assert value_range == wanted


def moved_by(left: Range, right: Range, asked: Range) -> float:
    """How many steps left - right is off because its offset saturates at 16 bits."""
    ends = (left.min, left.max), (right.min, right.max)
    sums = elementwise.Request(*ends, (1, -1), asked.min, asked.max)
    scaling = elementwise.fixed_scaling(sums)
    zero = (scaling.zero + scaling.offset) / 2.0**scaling.last
    return abs(zero - asked.zero)


@given(left=RANGES, right=RANGES, wanted=RANGES)
def test_a_difference_gets_a_range_whose_offset_does_not_saturate(
    left: Range, right: Range, wanted: Range
) -> None:
    asked = request("Sub", left, right, wanted)
    assert moved_by(left, right, asked) < 0.6, "a difference of zero must be the zero point"
    if wanted.step >= max(left.step, right.step) / 10:
        assert asked in (wanted, cover(left.min - right.max, left.max - right.min))


@given(
    usual=RANGES,
    other=RANGES,
    wanted=RANGES,
    loudness=st.floats(2.0**-20, 10.0),
    zero=st.integers(0, 255),
    first=st.booleans(),
)
def test_a_difference_that_fits_every_run_fits_at_any_loudness(
    usual: Range, other: Range, wanted: Range, loudness: float, zero: int, first: bool
) -> None:
    pairs = [(run_time_ranges(usual), (other,)), (usual.scaled(loudness).moved(zero), other)]
    (one, two), (left, right) = pairs if first else [pair[::-1] for pair in pairs]
    asked = request("Sub", usual if first else other, other if first else usual, wanted)
    if always_fits("Sub", one, two, asked):
        assert moved_by(left, right, asked) < 0.6


@pytest.mark.parametrize("part", ["Sub", "Neg"])
def test_a_difference_in_a_range_far_below_zero_is_not_moved(part: str) -> None:
    """A minimum cuts a join at its upper end: the difference of small numbers gets that range."""
    second = ["t", "x"] if part == "Sub" else ["x"]
    nodes = [
        helper.make_node("Clip", ["x", "low", "high"], ["t"]),
        helper.make_node(part, second, ["d"]),
        helper.make_node("Mul", ["x", "four"], ["f"]),
        helper.make_node("Concat", ["d", "f"], ["j"], axis=2),
        helper.make_node("Min", ["j", "cut"], ["y"]),
    ]
    numbers = {"low": -0.1, "high": 0.4, "four": 4.0, "cut": 0.01}
    weights = {name: np.float32(number) for name, number in numbers.items()}
    x = on_codes((1, 4, 5, 8)).astype(np.float32)
    source = model(nodes, {"x": x.shape}, ["y"], weights)
    for optimize in ("none", "default"):
        converted = hexconv.convert(source, samples=[{"x": x}], optimize=optimize)
        expected = np.minimum(
            np.concatenate([(np.clip(x, -0.1, 0.4) if part == "Sub" else 0) - x, 4 * x], 2), 0.01
        )
        found = hexconv.simulate(converted, {"x": x})["y"]
        assert np.abs(found - expected).max() < 1.1 * float(4 * x.max() - 4 * x.min()) / 255


@given(
    usual=RANGES,
    factor=RANGES,
    wanted=RANGES,
    loudness=st.floats(2.0**-20, 10.0),
    zero=st.integers(0, 255),
)
def test_a_product_that_fits_every_run_fits_at_any_loudness(
    usual: Range, factor: Range, wanted: Range, loudness: float, zero: int
) -> None:
    asked = request("Mul", usual, factor, wanted)
    if always_fits("Mul", run_time_ranges(usual), (factor,), asked):
        came = usual.scaled(loudness).moved(zero)
        assert request("Mul", came, factor, asked) == asked


def test_a_product_of_an_input_twice_as_loud_as_calibrated_does_not_wrap() -> None:
    """Loudness in between of what is tried: the offset is largest at a ratio of steps of 1/128."""
    v = np.linspace(0.1, 3.4, 12, dtype=np.float32)
    source = model([helper.make_node("Mul", ["x", "v"], ["y"])], {"x": (1, 8, 12)}, ["y"], {"v": v})
    x = np.linspace(-1, 4, 96, dtype=np.float32).reshape(1, 8, 12)
    converted = hexconv.convert(source, samples=[{"x": x}])
    loud = np.linspace(0, 8, 96, dtype=np.float32).reshape(1, 8, 12)
    result = Simulator(converted, "v60").run({"x": loud})["y"]
    assert result.min() >= 0.0, "no negative number is a product of these"


@pytest.mark.parametrize("op", ["Sub", "Mul"])
def test_a_result_much_smaller_than_its_operands_has_a_range(op: str) -> None:
    """The library rejects such a range; a coarser one has all the precision of the operands."""
    nodes = [helper.make_node(op, ["a", "b"], ["y"], name="node")]
    a = on_codes((1, 4, 4, 8)) * 4
    b = np.where(a == 0, a, 0.0).astype(np.float32) if op == "Mul" else a
    feeds = {"a": a, "b": b}
    converted = matches(model(nodes, {"a": a.shape, "b": b.shape}, ["y"]), 256, feeds)
    assert emitted(converted)


def test_a_positive_product_joined_with_negatives_keeps_its_values() -> None:
    """One range for both parts of a Concat would overrun the product's offset."""
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["p"], name="mul"),
        helper.make_node("Concat", ["p", "c"], ["y"], name="concat", axis=1),
    ]
    a, b = (on_codes((1, 3, 4, 4), seed, zero=0) for seed in (0, 1))
    feeds = {"a": a, "b": b, "c": -8 * on_codes((1, 3, 4, 4), 2, zero=0)}
    proto = model(nodes, {name: array.shape for name, array in feeds.items()}, ["y"])
    matches(proto, 1.6, feeds)  # the product, and its requantization
