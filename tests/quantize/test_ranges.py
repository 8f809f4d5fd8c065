"""A range holds what it must, its zero lies on a whole code, and float32 gives it back exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hexconv.errors import RangeError
from hexconv.quantize import Range, cover, symmetric

bounds = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-6)
factors = st.floats(1e-3, 1e3)


def exact(span: Range) -> bool:
    """Whether min, max, their difference and the step are float32 as they stand."""
    values = (span.min, span.max, span.max - span.min, span.step)
    return all(float(np.float32(value)) == value for value in values)


@given(bounds, bounds)
def test_a_cover_holds_its_bounds_and_zero(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    span = cover(low, high)
    assert span.min <= min(low, 0.0) and max(high, 0.0) <= span.max
    assert isinstance(span.zero, int) and 0 <= span.zero <= 255
    assert span.min + span.zero * span.step == 0.0
    assert exact(span)


@given(bounds, bounds)
def test_a_cover_is_no_wider_than_its_zero_demands(one: float, other: float) -> None:
    """Half a code to move the zero, or a whole one for a side that is nearly empty; 2^-15 more."""
    low, high = min(one, other, 0.0), max(one, other, 0.0)
    assume(high - low > 1e-6)
    assert cover(low, high).step <= (high - low) / 254 * (1 + 2.0**-14)


@given(bounds, bounds)
def test_the_library_need_not_move_the_zero(one: float, other: float) -> None:
    """As float32, -min * 255 / (max - min) is a whole number but for rounding (quantize.h)."""
    span = cover(min(one, other), max(one, other))
    low, high = np.float32(span.min), np.float32(span.max)
    zero = -low * np.float32(255.0) / (high - low)
    assert abs(zero - np.float32(span.zero)) <= 2.0**-14


@pytest.mark.parametrize(
    ("low", "high", "zero"),
    [(3.0, 3.0, 0), (-3.0, -3.0, 255), (0.0, 1e-30, 0), (-1e-30, 0.0, 255)],
)
def test_constant_tensors_get_a_usable_range(low: float, high: float, zero: int) -> None:
    span = cover(low, high)
    assert span.zero == zero and span.step > 0
    assert span.min <= low and high <= span.max


def test_a_tensor_that_was_always_zero_gets_a_step_of_ordinary_size() -> None:
    assert cover(0.0, 0.0) == Range(2.0**-8, 0) and symmetric(0.0, 0.0) == Range(2.0**-8, 128)


def test_a_side_that_has_values_has_a_code() -> None:
    assert cover(-1e-4, 100.0).zero == 1
    assert cover(-100.0, 1e-4).zero == 254
    assert cover(0.0, 100.0).zero == 0


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (math.nan, 1.0), (0.0, math.inf)])
def test_what_is_no_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(RangeError, match="is not a range"):
        cover(low, high)


@given(bounds, bounds)
def test_weights_lie_around_128(one: float, other: float) -> None:
    """127..129 is what v65 and v66 keep (facts/shipped-library.md)."""
    low, high = min(one, other), max(one, other)
    span = symmetric(low, high)
    assert span.zero == 128 and span.min <= low and high <= span.max and exact(span)


@given(bounds, bounds, factors)
def test_a_positive_factor_keeps_the_codes(one: float, other: float, factor: float) -> None:
    span = cover(min(one, other), max(one, other))
    scaled = span.scaled(factor)
    assert scaled.zero == span.zero and exact(scaled)
    assert factor * span.step <= scaled.step <= factor * span.step * (1 + 2.0**-15)


def test_holding_allows_half_a_step() -> None:
    span = Range(0.5, 10)
    assert span.holds(-5.2, 122.7) and not span.holds(-5.3, 0.0) and not span.holds(0.0, 122.8)
