"""The compiled sums are NumPy's, bit for bit, and so do not depend on the machine."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hexconv import native
from hexconv.compare.exact_sum import MOST_ROWS, ExactSums
from hexconv.compare.quantized import Scale
from hexconv.compare.sums import pair_sums


@pytest.fixture(autouse=True)
def _compiled() -> None:
    if native.ensure() is None:
        pytest.skip(native.status())


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 31, 32, 100, 1000, 40_003])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_compiled_sums_are_numpys(size: int, scale: float) -> None:
    draw = np.random.default_rng(size)
    x = (draw.standard_normal(size) * scale).astype(np.float32)
    y = (x + draw.standard_normal(size) * scale * 1e-3).astype(np.float32)
    found = pair_sums(x, y)
    with native.disabled():
        assert pair_sums(x, y) == found
    assert found.finite and found.close <= size


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_not_finite_is_seen(bad: float, side: int) -> None:
    pair = [np.ones(37, np.float32), np.ones(37, np.float32)]
    pair[side][5] = bad
    assert not pair_sums(*pair).finite
    with native.disabled():
        assert not pair_sums(*pair).finite


def test_compiled_values_of_codes_are_numpys() -> None:
    codes = np.random.default_rng(1).integers(0, 256, (3, 1000), np.uint8)
    scale = Scale(0.0123, 77.0, "uint8")
    found = scale.values(codes)
    with native.disabled():
        np.testing.assert_array_equal(scale.values(codes), found)


def test_exact_sums_do_not_depend_on_the_order() -> None:
    terms = [1e300, 1.0, -1e300, 5e-324, 1e-3, 2.0**-60]
    sums = []
    for order in (terms, terms[::-1], sorted(terms)):
        parts = [ExactSums(2), ExactSums(2)]
        for place, term in enumerate(order):
            parts[place % 2].add((term, -term))
        parts[0].merge(parts[1])
        sums.append(parts[0].rounded())
    assert sums == [[math.fsum(terms), -math.fsum(terms)]] * 3


def test_exact_sums_of_many_terms_are_rounded_once() -> None:
    draw = np.random.default_rng(3)
    terms = (draw.standard_normal(2000) * 10.0 ** draw.integers(-30, 30, 2000)).tolist()
    total = ExactSums(1)
    for term in terms:
        total.add((term,))
    assert total.rounded() == [math.fsum(terms)]
    assert len(total._rows) <= MOST_ROWS


def test_no_terms_are_a_sum_of_zero() -> None:
    empty = ExactSums(2)
    empty.merge(ExactSums(2))
    assert empty.rounded() == [0.0, 0.0]
