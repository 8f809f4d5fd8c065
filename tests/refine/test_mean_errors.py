"""Mean errors of channels: what chance explains of them is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hexconv.refine.mean_errors import MeanErrors

Array = np.ndarray[Any, Any]
CHANNELS = 64


def trusted(errors: Array, expected: Array | None = None, step: float = 0.0) -> Array:
    """Of errors (samples, positions, channels)."""
    found = MeanErrors(step)
    for place, sample in enumerate(errors):
        values = np.zeros(sample.shape) if expected is None else expected[place]
        found.add(sample, values, np.ones(sample.shape, bool))
    return found.trusted()


@pytest.mark.parametrize("size", [0.0, 0.3, 10.0])
def test_they_are_nearer_to_the_truth_than_means(size: float) -> None:
    """Of 16 samples with a mean of their own each, whose positions say the same."""
    random = np.random.default_rng(3)
    truth = random.normal(0, size, CHANNELS)
    errors = truth + random.normal(0, 1, (16, 1, CHANNELS)) + random.normal(0, 1, (16, 9, CHANNELS))
    found, means = trusted(errors), errors.mean(axis=(0, 1))
    wrong, raw = (float(((x - truth) ** 2).sum()) for x in (found, means))
    assert wrong < (0.1 if size == 0.0 else 0.8 if size == 0.3 else 1.01) * raw


def test_an_error_of_all_samples_alike_is_trusted() -> None:
    errors = np.broadcast_to(np.linspace(0.5, 1.5, CHANNELS), (4, 8, CHANNELS))
    np.testing.assert_allclose(trusted(errors), errors[0, 0])


@pytest.mark.parametrize(("spread", "left"), [(0.0, 0.5), (0.1, 0.6), (2.0, 0.99)])
def test_the_rounding_of_values_that_hardly_move_is_no_error(spread: float, left: float) -> None:
    """Another bias would be rounded as well; values that move are rounded up and down."""
    random = np.random.default_rng(4)
    expected = random.uniform(0, 1, CHANNELS) + random.normal(0, spread, (16, 32, CHANNELS))
    bias = random.normal(0, 0.2, CHANNELS)
    wrong = trusted(np.rint(expected + bias) - expected, expected, 1.0)
    share = float(wrong @ bias) / float(bias @ bias)
    assert share < left if spread < 1.0 else share > 0.9


def test_few_values_and_one_sample_tell_nothing() -> None:
    assert not trusted(np.ones((11, 1, CHANNELS))).any() and trusted(np.ones((12, 1, 2))).all()
    assert not trusted(np.ones((1, 500, CHANNELS))).any()


def test_values_that_do_not_count_tell_nothing() -> None:
    found, counted = MeanErrors(), np.ones((20, 1), bool)
    counted[10:] = False
    for _ in range(2):
        errors = np.where(counted, 1.0, 99.0)
        found.add(errors, errors, counted)
    np.testing.assert_allclose(found.trusted(), [1.0])
