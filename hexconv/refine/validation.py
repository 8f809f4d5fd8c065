"""Cross-validation: a step is judged on every sample, by models that were not fitted on it.

The samples are cut into folds. For each of them the step is fitted on the others and judged on it;
a step that is kept is fitted on all samples at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Generic, Protocol, TypeVar

from hexconv.conversion_record import RefineStep
from hexconv.refine.budget import Budget
from hexconv.refine.held_back import Judge, Run
from hexconv.refine.journal import Journal
from hexconv.refine.recipe import Recipe, Step
from hexconv.refine.scores import Score, averaged, better, joined, likely, of_logits
from hexconv.settings import Progress

Made = TypeVar("Made")
NEARBY = 3
"""How often what is likely is judged with other roundings of the same samples."""
LEFT = 0.5
"""Of the noise of all samples, at most, after a step that another one confirms.

Of 17 networks two were so with wider ranges, by 14 and 8 dB, and gained 2 and 4 on other samples;
five gained up to 2.4 dB, and lost 0.6 to gained 1.5.
"""


class Ticks:
    """Reports measurements, whose number nothing tells in advance.

    Args:
        progress: as in the settings.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._done = progress, 0

    def __call__(self) -> None:
        """One more was done."""
        self._done += 1
        if self._progress is not None:
            self._progress("refine", self._done, 0)


class Fitted(Protocol[Made]):
    """Models that are fitted on some samples."""

    def made(self, recipe: Recipe) -> Made:
        """The model of a recipe; the same object as of another one that makes no other."""

    def run(self, made: Made) -> Run:
        """What returns a model's outputs for a sample."""


class Fold(Generic[Made]):
    """Some samples, and models that were not fitted on them.

    Args:
        fit: makes what fits models on the other samples; called when a score is needed.
        judge: makes the judge of these samples; called then.
        journal: of what is measured.
    """

    def __init__(
        self, fit: Callable[[], Fitted[Made]], judge: Callable[[], Judge], journal: Journal
    ) -> None:
        self._fit, self._judge, self._journal = fit, judge, journal
        self._scores: dict[Recipe, Score] = {}

    @cached_property
    def _fitted(self) -> Fitted[Made]:
        return self._fit()

    @cached_property
    def _judged(self) -> Judge:
        return self._judge()

    @cached_property
    def _near(self) -> list[Judge]:
        return [self._judged.nearby(number) for number in range(NEARBY)]

    def score(self, recipe: Recipe, best: Recipe | None = None) -> Score:
        """What a recipe scores on these samples.

        Args:
            recipe: of the model.
            best: that it was made of, which has a score.
        """
        if recipe not in self._scores:
            part = self._journal.part(str(recipe))
            self._scores[recipe] = part.score(lambda: self._measured(recipe, best))
        return self._scores[recipe]

    def nearby(self, recipe: Recipe) -> list[Score]:
        """What a recipe scores on the same samples with other roundings, several times."""
        part = self._journal.part(f"nearby/{recipe}")

        def measured(number: int) -> Score:
            run = self._fitted.run(self._fitted.made(recipe))
            return self._near[number].score_of(run)

        return [part.score(partial(measured, number)) for number in range(NEARBY)]

    def _measured(self, recipe: Recipe, best: Recipe | None) -> Score:
        made = self._fitted.made(recipe)
        if best is not None and made is self._fitted.made(best):
            return self._scores[best]
        return self._judged.score_of(self._fitted.run(made))


class CrossValidation(Generic[Made]):
    """Tries one step after the other.

    Args:
        folds: that judge.
        tick: called after each score.
        changes: whether a recipe, and not the other one, changes the model that is fitted to all
            samples: what folds gain by may be in none of it.
        budget: of packets; None where none are counted.

    Attributes:
        best: the recipe of the steps that were kept.
        steps: what was tried.
        doubtful: steps that gained, but not by more than chance.
    """

    def __init__(
        self,
        folds: Sequence[Fold[Made]],
        tick: Callable[[], None],
        changes: Callable[[Recipe, Recipe], bool] = lambda recipe, other: recipe != other,
        budget: Budget | None = None,
    ) -> None:
        self._folds, self._tick, self._changes = folds, tick, changes
        self._budget = budget
        self.best = Recipe()
        self.steps: list[RefineStep] = []
        self.doubtful: list[Step] = []
        self._tried = {self.best}

    def tries(self, step: Step, packets: tuple[float, float] | None = None) -> bool:
        """Try a step, and keep it if it is better by more than chance.

        One that is confirmed by another is kept if both remove half of the noise of all samples
        together, and the SQNR rises: what is clipped in few samples may be most of the noise, while
        the others lose a little. No rounding is the same in both.

        Args:
            step: to try.
            packets: without it and with it, of one that spends some.

        Returns:
            Whether it was kept.
        """
        recipe = step.change(self.best)
        if recipe in self._tried:
            return False
        self._tried.add(recipe)
        if step.confirm is not None:
            kept, (before, after) = self._removes_half(recipe, step.confirm(self.best))
        else:
            pairs = self._scores(recipe)
            before, after = (joined(scores) for scores in zip(*pairs, strict=True))
            kept = better(pairs) or (likely(pairs) and self._better_nearby(recipe, pairs))
        kept = kept and self._changes(recipe, self.best)
        if kept and packets is None and self._budget is not None:
            packets = self._budget.spent(self.best, recipe)
            kept = packets is None or packets[1] <= self._budget.most
        change = (step.name, before.sqnr, after.sqnr, kept, False)
        self.steps.append(RefineStep(*change, *(packets or (None, None))))
        if kept:
            self.best = recipe
        elif step.confirm is None and self.steps[-1].gained:
            self.doubtful.append(step)
        return kept

    def _removes_half(self, *recipes: Recipe) -> tuple[bool, tuple[Score, Score]]:
        """Whether each recipe leaves at most half of the noise, and the first gains; its scores."""
        before, after = self._whole(self.best), self._whole(recipes[0])
        most = LEFT * sum(before.noise)
        halved = all(sum(self._whole(recipe).noise) <= most for recipe in recipes)
        return halved and after.sqnr > before.sqnr, (before, after)

    def _better_nearby(self, recipe: Recipe, pairs: Sequence[tuple[Score, Score]]) -> bool:
        """Whether a step is better by more than chance with several roundings of the samples."""
        both = []
        for fold, (old, new) in zip(self._folds, pairs, strict=True):
            before, after = fold.nearby(self.best), fold.nearby(recipe)
            self._tick()
            both.append((averaged([old, *before]), averaged([new, *after])))
        return better(both)

    def _whole(self, recipe: Recipe) -> Score:
        """The score of a recipe on the samples of all folds."""
        scores = []
        for fold in self._folds:
            scores.append(fold.score(recipe, self.best if recipe != self.best else None))
            self._tick()
        return joined(scores)

    def _scores(self, recipe: Recipe) -> list[tuple[Score, Score]]:
        """Of the best recipe and another one: on each fold, until nothing is gained."""
        pairs: list[tuple[Score, Score]] = []
        for fold in self._folds:
            pairs.append((fold.score(self.best), fold.score(recipe, self.best)))
            self._tick()
            if all(_gained(kind) <= 0.0 for kind in (pairs, of_logits(pairs))):
                break
        return pairs


def _gained(pairs: Sequence[tuple[Score, Score]]) -> float:
    """dB, over all samples so far."""
    return sum(sum(new.gains_over(old)) for old, new in pairs)
