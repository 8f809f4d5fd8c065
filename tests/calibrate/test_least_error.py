"""The mse observer: the range whose 256 levels have the least squared error."""

from __future__ import annotations

import numpy as np
import pytest

from hexconv.calibrate.histogram import SHARES, Histogram
from hexconv.quantize import Bounds, cover
from tests.lowering.proof import Array


def drawn(name: str) -> Array:
    draw = np.random.default_rng(3)
    normal = draw.standard_normal(20000)
    values = {
        "normal": normal,
        "uniform": draw.uniform(-2, 1, 20000),
        "outliers": np.concatenate([normal, 8.0 * draw.standard_normal(60)]),
        "one side": np.concatenate([normal, 9.0 + np.abs(draw.standard_normal(40))]),
        "relu": np.maximum(draw.standard_t(3, 20000), 0.0),
        "sparse": np.where(draw.uniform(size=20000) < 0.01, normal, 0.0),
        "above zero": 3.0 + 0.1 * normal,
        "below zero": -3.0 + 0.1 * normal,
        "silent": np.zeros(100),
        "one number": np.full(100, 1.7),
    }[name]
    return values.astype(np.float32)


NAMES = [
    "normal",
    "uniform",
    "outliers",
    "one side",
    "relu",
    "sparse",
    "above zero",
    "below zero",
    "silent",
    "one number",
]


def found(values: Array) -> Bounds:
    histogram = Histogram()
    for part in np.array_split(values, 3):
        histogram.add(part)
    return histogram.least_error()


def error(values: Array, ends: Bounds) -> float:
    """The mean squared error of the values themselves in 256 levels."""
    span = cover(*ends)
    levels = np.clip(np.rint(values / span.step), -span.zero, 255 - span.zero)
    return float(((levels * span.step - np.float64(values)) ** 2).mean())


@pytest.mark.parametrize("name", NAMES)
def test_no_other_range_is_much_better(name: str) -> None:
    """Of those with either end narrowed by itself, by the values and not their bins."""
    values = drawn(name)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    best = min(error(values, (a * low, b * high)) for a in SHARES for b in SHARES)
    assert error(values, found(values)) <= 1.03 * best + 1e-12


def test_tails_are_clipped_where_that_costs_less() -> None:
    values = drawn("normal")
    whole = float(values.min()), float(values.max())
    assert error(values, found(values)) < 0.98 * error(values, whole)


def test_rare_values_that_carry_the_signal_are_kept() -> None:
    """Where clipping one of them costs more than rounding all others."""
    values = np.concatenate([drawn("normal"), np.float32([192.0])])
    low, high = found(values)
    assert high > 0.9 * 192.0 and low >= 1.01 * values.min()


@pytest.mark.parametrize("name", ["uniform", "silent", "one number", "above zero", "below zero"])
def test_values_that_fill_their_range_keep_it(name: str) -> None:
    values = drawn(name)
    np.testing.assert_allclose(found(values), (values.min(), values.max()), rtol=1e-6)
