"""Steps judged by samples that their models were not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest

from hexconv.refine import CrossValidation, Fold, Journal, Recipe, Score, Step
from hexconv.refine.held_back import Judge

BEST, MIXED = Recipe(), Recipe(mixed=True)
STEP = Step("a step", lambda best: MIXED)
SAMPLES = 4


class Models:
    """A model is the gains in dB of the samples of a fold."""

    def __init__(self, gains: Mapping[Recipe, Any]) -> None:
        self.gains = gains

    def made(self, recipe: Recipe) -> Any:
        return self.gains[recipe]

    def run(self, made: Any) -> Any:
        return made


class Scores:
    """In place of a judge: the score that a model is."""

    def __init__(self, done: list[Any]) -> None:
        self.done = done

    def score_of(self, run: Any) -> Score:
        self.done.append(run)
        noise = 10.0 ** (-0.1 * np.asarray(run, np.float64))
        return Score(float(-10.0 * np.log10(noise.mean())), tuple(noise))


def validation(
    gains: Any, journal: Journal | None = None
) -> tuple[CrossValidation[Any], list[Any], list[None]]:
    """Of a step that gains so much, by fold and sample; what is scored, and ticks."""
    done: list[Any] = []
    ticks: list[None] = []
    start = [0.0] * SAMPLES
    whole = Journal(None) if journal is None else journal

    def fold(number: int, own: Any) -> Fold[Any]:
        models = Models({BEST: start, MIXED: start if own is None else own})
        judge = cast("Callable[[], Judge]", lambda: Scores(done))
        return Fold(lambda: models, judge, whole.part(f"fold {number}"))

    folds = [fold(*item) for item in enumerate(gains)]
    return CrossValidation(folds, lambda: ticks.append(None)), done, ticks


EVEN = (1.1, 0.9, 1.2, 0.8)


def test_a_step_that_all_samples_gain_by_is_kept() -> None:
    tried, done, ticks = validation([EVEN] * 4)
    tried.tries(STEP)
    (step,) = tried.steps
    assert tried.best == MIXED and step.kept and len(done) == 8 and len(ticks) == 4
    assert step.before == 0.0 and step.after == pytest.approx(1.0, abs=0.02)


def test_a_step_is_tried_on_no_more_samples_once_nothing_is_gained() -> None:
    tried, done, ticks = validation([(-0.1, -1.0, 0.5, 0.5), *[(9.0,) * 4] * 3])
    tried.tries(STEP)
    assert tried.best == BEST and not tried.steps[0].kept and len(done) == 2 and len(ticks) == 1


def test_what_two_folds_of_four_gain_is_not_kept() -> None:
    """Though the gain of the samples is more than chance."""
    gains = [(3.0,) * 4, (3.0,) * 4, (0.1, 0.1, 0.1, -0.4), (0.1, 0.1, 0.1, -0.4)]
    flat = [gain for fold in gains for gain in fold]
    assert Score(1.0, tuple(10.0 ** (-0.1 * np.asarray(flat)))).beats(Score(0.0, (1.0,) * 16))
    tried, *_ = validation(gains)
    tried.tries(STEP)
    assert tried.best == BEST


def test_a_step_that_changes_nothing_is_not_scored_again() -> None:
    tried, done, _ = validation([None] * 4)
    tried.tries(STEP)
    assert tried.best == BEST and len(done) == 1


def test_a_recipe_is_tried_once() -> None:
    tried, done, _ = validation([(-1.0,) * 4] * 4)
    tried.tries(STEP)
    tried.tries(STEP)
    tried.tries(Step("none", lambda best: best))
    assert len(tried.steps) == 1 and len(done) == 2


def test_steps_of_chance_are_kept_rarely() -> None:
    """Of 1000 that change samples by 2 dB, 25 at most; 50 where folds differ by as much."""
    random, kept = np.random.default_rng(1), [0, 0]
    for place in range(2000):
        apart = random.normal(0, 2, (4, 1)) if place % 2 else 0.0
        tried, *_ = validation(random.normal(0, 2, (4, 4)) + apart)
        tried.tries(STEP)
        kept[place % 2] += tried.best != BEST
    assert 5 < kept[0] <= 25 and 5 < kept[1] <= 50
