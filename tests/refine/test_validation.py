"""Steps judged by samples that their models were not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from hexconv.refine import Budget, CrossValidation, Fold, Journal, Recipe, Score, Step
from hexconv.refine.held_back import Judge

BEST, MIXED = Recipe(), Recipe(mixed=True)
WIDE, WIDER = Recipe(wider=0.2), Recipe(wider=0.3)
STEP = Step("a step", lambda best: MIXED)
CONFIRMED = Step("wider", lambda best: WIDE, lambda best: WIDER)
SAMPLES = 4


def nearby(gains: Any) -> Any:
    """What samples gain where they are judged with other roundings."""
    return gains


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

    def __init__(self, done: list[Any], near: bool = False) -> None:
        self.done, self.near = done, near

    def nearby(self, number: int) -> Scores:
        return Scores(self.done, near=True)

    def score_of(self, run: Any) -> Score:
        self.done.append(run)
        gains = np.asarray(run, np.float64)
        if self.near and gains.any():
            gains = nearby(gains)
        noise = 10.0 ** (-0.1 * gains)
        return Score(float(-10.0 * np.log10(noise.mean())), tuple(noise))


def validation(
    gains: Any, journal: Journal | None = None, confirming: Any = None
) -> tuple[CrossValidation[Any], list[Any], list[None]]:
    """Of a step that gains so much, by fold and sample; what is scored, and ticks."""
    done: list[Any] = []
    ticks: list[None] = []
    start = [0.0] * SAMPLES
    whole = Journal(None) if journal is None else journal

    def fold(number: int, own: Any) -> Fold[Any]:
        tried = start if own is None else own
        other = tried if confirming is None else confirming[number]
        models = Models({BEST: start, MIXED: tried, WIDE: tried, WIDER: other})
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


def test_a_step_that_changes_nothing_of_the_model_of_all_samples_is_not_kept() -> None:
    tried, *_ = validation([EVEN] * 4)
    tried._changes = lambda recipe, other: (recipe, other) != (MIXED, BEST)
    tried.tries(STEP)
    assert tried.best == BEST and not tried.steps[0].kept and tried.steps[0].gained


@pytest.mark.parametrize(
    ("price", "kept"), [(100.0, True), (100.9, True), (104.0, True), (106.0, False)]
)
def test_ranges_that_cost_packets_are_kept_within_the_budget(price: float, kept: bool) -> None:
    """A node may take another form in them; up to 1 % more are none."""
    tried, *_ = validation([EVEN] * 4)
    tried._budget = Budget(lambda recipe: price if recipe.mixed else 100.0, 5.0)
    tried.tries(STEP)
    (step,) = tried.steps
    assert step.kept is kept and step.gained
    told = (step.packets_before, step.packets_after)
    assert told == ((100.0, price) if price > 101.0 else (None, None))


def test_what_changes_no_ranges_is_not_priced() -> None:
    budget = Budget(lambda recipe: pytest.fail("priced"), 0.0)
    assert budget.spent(MIXED, replace(MIXED, biases=True, weights=True)) is None


def test_what_ranges_save_is_not_spent() -> None:
    budget = Budget(lambda recipe: 80.0 if recipe.mixed else 100.0, 10.0)
    assert budget.most == pytest.approx(110.0)
    assert budget.behind(80.0) == pytest.approx(88.0)
    assert budget.behind(120.0) == pytest.approx(110.0)


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


LIKELY = [(1.5, -0.4, 1.0, -0.7), (1.4, -0.6, 0.9, -0.4)] * 2


@pytest.mark.parametrize(("more", "kept"), [(1.0, True), (-1.0, False)])
def test_what_is_likely_is_judged_once_more_with_other_roundings(
    more: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.refine.test_validation.nearby", lambda gains: gains + more)
    tried, done, ticks = validation(LIKELY)
    assert tried.tries(STEP) == kept and len(done) == 32 and len(ticks) == 8
    assert tried.doubtful == ([] if kept else [STEP])


def test_what_may_as_well_be_chance_is_judged_once() -> None:
    tried, done, _ = validation([(1.5, -1.4, 1.0, -1.0)] * 4)
    assert not tried.tries(STEP) and len(done) == 8


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


LOST = (-1.6,) * SAMPLES
"""Where steps become 20 % wider."""


def of_a_clipped_fold(after: float) -> list[tuple[float, ...]]:
    """Gains of four folds, of which the last is 20 dB worse than the others before."""
    return [LOST, LOST, LOST, (after,) * SAMPLES]


def clipped(first: float, second: float) -> CrossValidation[Any]:
    """Of one fold that is clipped by 20 dB, of two steps that leave so many dB above the others."""
    tried, *_ = validation(of_a_clipped_fold(first), confirming=of_a_clipped_fold(second))
    for number, fold in enumerate(tried._folds):
        if number == 3:
            cast("Any", fold._fitted).gains[BEST] = [-20.0] * SAMPLES
    return tried


@pytest.mark.parametrize(
    ("first", "second", "kept"), [(0, 0, True), (0, -19, False), (-19, 0, False)]
)
def test_a_step_that_another_confirms_is_judged_by_the_noise_of_all(
    first: float, second: float, kept: bool
) -> None:
    """Three of four folds lose, and the whole gains 17 dB: both have to gain it."""
    tried = clipped(first, second)
    tried.tries(CONFIRMED)
    assert (tried.best == WIDE) is kept and tried.steps[0].kept is kept


def test_a_step_that_another_confirms_is_not_kept_where_most_folds_lose_much() -> None:
    """Of one fold 20 dB of noise are removed, which is most of it; the others lose 10 dB each."""
    folds = [(-10.0,) * SAMPLES] * 3 + [(0.0,) * SAMPLES]
    tried, *_ = validation(folds)
    cast("Any", tried._folds[3]._fitted).gains[BEST] = [-20.0] * SAMPLES
    tried.tries(CONFIRMED)
    (step,) = tried.steps
    assert tried.best == BEST and not step.kept and step.after < step.before


def test_steps_of_chance_are_kept_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1000 that change samples by 2 dB, 25 at most; 50 where folds differ by as much."""
    random, kept = np.random.default_rng(1), [0, 0]
    # Other roundings tell as little.
    monkeypatch.setattr(
        "tests.refine.test_validation.nearby", lambda gains: random.normal(0, 2, len(gains))
    )
    for place in range(2000):
        apart = random.normal(0, 2, (4, 1)) if place % 2 else 0.0
        tried, *_ = validation(random.normal(0, 2, (4, 4)) + apart)
        tried.tries(STEP)
        kept[place % 2] += tried.best != BEST
    assert 5 < kept[0] <= 25 and 5 < kept[1] <= 50
