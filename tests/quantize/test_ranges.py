"""A range contains its values, its zero point is an integer, and float32 represents it exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hexconv.errors import RangeError
from hexconv.quantize import Range, cover, ending_near, symmetric

bounds = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-6)
factors = st.floats(1e-3, 1e3)


def exact(value_range: Range) -> bool:
    """Whether min, max, their difference and the scale are exact in float32."""
    values = (value_range.min, value_range.max, value_range.max - value_range.min, value_range.step)
    return all(float(np.float32(value)) == value for value in values)


@given(bounds, bounds)
def test_a_cover_holds_its_bounds_and_zero(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    value_range = cover(low, high)
    assert value_range.min <= min(low, 0.0) and max(high, 0.0) <= value_range.max
    assert isinstance(value_range.zero, int) and 0 <= value_range.zero <= 255
    assert value_range.min + value_range.zero * value_range.step == 0.0
    assert exact(value_range)


@given(bounds, bounds)
def test_a_range_of_what_is_clipped_ends_within_half_a_level_of_the_bounds(
    one: float, other: float
) -> None:
    low, high = min(one, other, 0.0), max(one, other, 0.0)
    assume(high - low > 1e-3)
    found = ending_near(low, high)
    slack = 0.51 * found.step
    assert abs(found.min - low) <= slack and abs(found.max - high) <= slack
    assert 0 <= found.zero <= 255 and exact(found)


@given(bounds, bounds)
def test_a_cover_is_no_wider_than_its_zero_demands(one: float, other: float) -> None:
    """Half an LSB to move the zero point, or one for a side that is nearly empty; 2^-15 more."""
    low, high = min(one, other, 0.0), max(one, other, 0.0)
    assume(high - low > 1e-6)
    assert cover(low, high).step <= (high - low) / 254 * (1 + 2.0**-14)


@given(bounds, bounds)
def test_the_library_need_not_move_the_zero(one: float, other: float) -> None:
    """As float32, -min * 255 / (max - min) is an integer but for rounding (quantize.h)."""
    value_range = cover(min(one, other), max(one, other))
    low, high = np.float32(value_range.min), np.float32(value_range.max)
    zero = -low * np.float32(255.0) / (high - low)
    assert abs(zero - np.float32(value_range.zero)) <= 2.0**-14


@pytest.mark.parametrize(
    ("low", "high", "zero"),
    [(3.0, 3.0, 0), (-3.0, -3.0, 255), (0.0, 1e-30, 0), (-1e-30, 0.0, 255)],
)
def test_constant_tensors_get_a_usable_range(low: float, high: float, zero: int) -> None:
    value_range = cover(low, high)
    assert value_range.zero == zero and value_range.step > 0
    assert value_range.min <= low and high <= value_range.max


def test_a_tensor_that_was_always_zero_gets_an_ordinary_scale() -> None:
    assert cover(0.0, 0.0) == Range(2.0**-8, 0) and symmetric(0.0, 0.0) == Range(2.0**-8, 128)


def test_a_side_that_has_values_has_a_level() -> None:
    assert cover(-1e-4, 100.0).zero == 1
    assert cover(-100.0, 1e-4).zero == 254
    assert cover(0.0, 100.0).zero == 0


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (math.nan, 1.0), (0.0, math.inf)])
def test_what_is_no_range_is_rejected(low: float, high: float) -> None:
    with pytest.raises(RangeError, match="is not a range"):
        cover(low, high)


@given(bounds, bounds)
def test_weights_are_around_128(one: float, other: float) -> None:
    """127..129 is what v65 and v66 keep (docs/nnlib/shipped-library.md#squeeze)."""
    low, high = min(one, other), max(one, other)
    value_range = symmetric(low, high)
    assert (
        value_range.zero == 128
        and value_range.min <= low
        and high <= value_range.max
        and exact(value_range)
    )


@given(bounds, bounds, factors)
def test_a_positive_factor_keeps_the_quantized_values(
    one: float, other: float, factor: float
) -> None:
    value_range = cover(min(one, other), max(one, other))
    scaled = value_range.scaled(factor)
    assert scaled.zero == value_range.zero and exact(scaled)
    assert factor * value_range.step <= scaled.step <= factor * value_range.step * (1 + 2.0**-15)


def test_holding_allows_half_an_lsb() -> None:
    value_range = Range(0.5, 10)
    assert (
        value_range.holds(-5.2, 122.7)
        and not value_range.holds(-5.3, 0.0)
        and not value_range.holds(0.0, 122.8)
    )
