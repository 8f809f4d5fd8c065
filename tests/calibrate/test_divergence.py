"""The observer of the least Kullback-Leibler divergence."""

from __future__ import annotations

import numpy as np
import pytest

import hexconv
from hexconv.calibrate.divergence import divergence
from hexconv.calibrate.histogram import Histogram
from hexconv.quantize import Range, cover
from tests.onnx_graph.models import model, node

VALUES = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)


def least(values: np.ndarray) -> tuple[float, float]:
    histogram = Histogram()
    histogram.add(values.astype(np.float32))
    return histogram.least_divergence()


def by_definition(values: np.ndarray, counts: np.ndarray, rounded: Range) -> float:
    """The divergence written out, bin by bin."""
    level = [round(float(value / rounded.step)) + rounded.zero for value in values]
    inside = [place for place in range(len(values)) if 0 <= level[place] <= 255]
    found = {place: float(counts[place]) for place in inside}
    found[inside[0]] += counts[: inside[0]].sum()
    found[inside[-1]] += counts[inside[-1] + 1 :].sum()
    other = {}
    for place in inside:
        alike = [item for item in inside if level[item] == level[place]]
        other[place] = max(sum(counts[item] for item in alike) / len(alike), 0.5)
    p, q = sum(found.values()), sum(other.values())
    terms = [found[i] / p * np.log(found[i] / p / (other[i] / q)) for i in inside if found[i]]
    return float(sum(terms))


@pytest.mark.parametrize("ends", [(-4.0, 4.0), (-1.0, 2.5), (-0.1, 0.3)])
def test_it_is_the_sum_over_the_bins(ends: tuple[float, float]) -> None:
    middles = (np.arange(-400, 400) + 0.5) / 100
    counts = np.round(1e4 * np.exp(-(middles**2)))
    rounded = cover(*ends)
    assert divergence(middles, counts, rounded) == pytest.approx(
        by_definition(middles, counts, rounded), rel=1e-9
    )


def test_values_that_use_their_whole_range_keep_it() -> None:
    uniform = np.random.default_rng(1).uniform(-1, 3, 100_000)
    assert least(uniform) == pytest.approx((uniform.min(), uniform.max()), rel=1e-6)


def test_two_values_far_outside_are_clipped() -> None:
    low, high = least(np.append(VALUES, [-38.0, 40.0]))
    assert -10 < low < -3 and 3 < high < 10


def test_the_ends_are_narrowed_apart() -> None:
    low, high = least(np.append(VALUES, 40.0))
    assert low == pytest.approx(VALUES.min(), rel=1e-6) and high < 10


def test_zeros_of_a_relu_do_not_narrow_the_range() -> None:
    positive = VALUES[VALUES > 0]
    without = least(positive)[1]
    assert least(np.append(positive, np.zeros(1_000_000))) == (0.0, pytest.approx(without))


def test_a_few_values_keep_their_range() -> None:
    few = np.append(VALUES[:4000], [-38.0, 40.0])
    assert least(few) == (-38.0, 40.0)


@pytest.mark.parametrize("values", [np.zeros(10), np.full(10, 2.0), np.array([-1.5])])
def test_values_of_one_number(values: np.ndarray) -> None:
    low, high = least(values)
    assert low <= values.min() and values.max() <= high


def test_convert_takes_it() -> None:
    weights = np.float32([0.5, 1.0, -0.5, 1.0]).reshape(1, 4, 1, 1)
    proto = model([node("Mul", "x w", "y")], {"x": (1, 4, 32, 32)}, consts={"w": weights})
    first, second = (
        VALUES[:4096].reshape(1, 4, 32, 32),
        VALUES[4096:8192].reshape(1, 4, 32, 32).copy(),
    )
    second[0, 0, 0, 0] = 40.0
    samples = [{"x": first}, {"x": second}]
    whole, narrow = (
        hexconv.convert(proto, samples=samples, observer=observer)
        for observer in ("minmax", "entropy")
    )
    found = [hexconv.simulate(made, {"x": second})["y"].max() for made in (whole, narrow)]
    assert found[0] > 19 and found[1] < 10
