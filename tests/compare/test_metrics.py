"""The figures: by definition, over several samples, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexconv.compare.metrics import EXACT, Metrics, Totals, below
from hexconv.compare.quantized import RangeTotals, Scale, fit_sums, values_of
from hexconv.errors import ModelError


def figures(*pairs: tuple[object, object], classes: bool = False) -> Metrics:
    totals = Totals("y", classes=classes)
    for expected, returned in pairs:
        totals.add(expected, returned)  # type: ignore[arg-type]
    found = totals.result()
    assert found is not None
    return found


def test_figures_follow_their_definitions() -> None:
    found = figures(([3.0, 4.0], [3.0, 3.0]))
    assert found.sqnr == pytest.approx(10 * math.log10(25 / 1))
    assert found.cosine == pytest.approx((9 + 12) / (5 * math.sqrt(18)))
    assert (found.max_error, found.mean_error, found.close) == (1.0, 0.5, 0.5)
    assert (found.peak, found.samples, found.top1) == (4.0, 1, None)


def test_close_is_one_in_a_thousand_and_one_in_ten_thousand() -> None:
    assert figures(([100.0, 100.0, 0.0, 0.0], [100.1, 100.2, 0.9e-4, 1.1e-4])).close == 0.5


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**31))
def test_samples_one_by_one_are_as_good_as_all_at_once(n: int, size: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    x, noise = draw.normal(size=(2, n, size))
    y = x + 0.1 * noise
    apart, whole = figures(*zip(x, y, strict=True)), figures((x.ravel(), y.ravel()))
    for name in ("sqnr", "cosine", "max_error", "mean_error", "close", "peak"):
        assert getattr(apart, name) == pytest.approx(getattr(whole, name), rel=1e-9)


def test_top1_counts_rows_along_the_last_axis() -> None:
    x = [[[0.1, 0.9], [0.8, 0.2]]]
    y = [[[0.2, 0.8], [0.4, 0.6]]]
    assert figures((x, y), classes=True).top1 == 0.5


def test_no_difference_is_exact_not_infinite() -> None:
    assert figures(([1.0], [1.0])).sqnr == EXACT
    assert figures(([0.0, 0.0], [0.0, 0.0])).cosine == 1.0


def test_a_zero_reference_has_no_signal() -> None:
    found = figures(([0.0, 0.0], [0.0, 0.5]))
    assert (found.sqnr, found.cosine) == (-EXACT, 0.0)


def test_a_constant_reference_is_judged_like_any_other() -> None:
    assert figures(([2.0, 2.0], [2.0, 2.2])).sqnr == pytest.approx(10 * math.log10(8 / 0.04))


def test_tiny_values_do_not_underflow_to_a_wrong_figure() -> None:
    assert figures(([1e-30], [1.1e-30])).sqnr == pytest.approx(20.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_rejected_by_tensor_and_sample(bad: float) -> None:
    totals = Totals("logits")
    totals.add([1.0], [1.0])
    with pytest.raises(ModelError, match=r"'logits'[\s\S]*sample 1"):
        totals.add([bad], [1.0])


def test_unlike_shapes_are_rejected() -> None:
    with pytest.raises(ModelError, match=r"\[2\].*\[3\]"):
        Totals("y").add([1.0, 2.0], [1.0, 2.0, 3.0])


def test_no_sample_gives_no_figures() -> None:
    assert Totals("y").result() is None


def test_floors_name_what_is_below_them() -> None:
    found = figures(([3.0, 4.0], [3.0, 3.0]))
    assert below(found, {"sqnr": 10, "cosine": 0.9}) == []
    assert below(found, {"sqnr": 25}) == ["sqnr 13.98 is below 25"]
    assert below(found, {"top1": 0.9}) == []


@given(st.floats(-50, 0), st.floats(0.1, 50))
def test_quantized_values_of_the_library_round_trip(low: float, high: float) -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    outputs = [codes, np.float32([[[[low]]]]), np.float32([[[[high]]]])]
    scale = Scale.of(outputs)
    assert scale is not None
    assert np.array_equal(scale.codes(values_of(outputs)), codes)


def test_wide_integers_have_their_own_scales() -> None:
    ends = [np.full((1, 1, 1, 1), v, np.float32) for v in (-2.0, 2.0)]
    for dtype, steps in (("int16", 2**16), ("int32", 2**32)):
        data = np.full((1, 1, 1, 1), 1000, dtype)
        assert values_of([data, *ends]).item() == pytest.approx(1000 * 4 / steps)


def test_a_range_fit_separates_clipping_from_coarseness() -> None:
    scale = Scale(1 / 255, 0, "uint8")
    x = np.array([0.0] * 90 + [0.5] * 9 + [3.0])
    totals = RangeTotals()
    totals.add(fit_sums(x, scale.codes(x), scale), scale)
    fit = totals.result()
    assert fit is not None
    assert fit.clipped == pytest.approx(0.01)
    assert fit.clip_noise > 0.99
    assert fit.used == 2
    assert (fit.low, fit.high) == pytest.approx((0.0, 1.0))


def test_without_its_mean_a_signal_has_the_noise_relative_to_what_is_left() -> None:
    draw = np.random.default_rng(5)
    parts = [100.0 + draw.standard_normal(50) for _ in range(3)]
    totals, halves = Totals("y"), (Totals("y"), Totals("y"))
    for number, x in enumerate(parts):
        noise = 0.1 * draw.standard_normal(50)
        totals.add(x, x + noise)
        halves[number % 2].add(x, x + noise)
    found = totals.result()
    assert found is not None and found.centered is not None and found.mean_dominates
    assert found.sqnr == pytest.approx(60.0, abs=1.0)
    assert found.centered == pytest.approx(20.0, abs=1.5)
    halves[0].merge(halves[1])
    assert halves[0].result() == found


def test_a_signal_that_is_its_mean_alone_has_none_without_it() -> None:
    totals = Totals("y")
    totals.add(np.full(64, 0.1, np.float32), np.full(64, 0.2, np.float32))
    found = totals.result()
    assert found is not None and found.centered == -EXACT
