"""Packets spent where they remove most of the outputs' noise.

Of the candidates those that remove most together within a budget, in the order of what they remove
for a packet; each is kept only if samples agree that it was not fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np

from hexconv.model import Model
from hexconv.refine.budget import Budget
from hexconv.refine.candidates import Candidate
from hexconv.refine.recipe import Recipe, Step
from hexconv.refine.refinement import Refinement
from hexconv.refine.validation import CrossValidation

MOST_PRICED, MOST_TESTED = 12, 8
"""Candidates that are built to know their price, and that are simulated."""


@dataclass(frozen=True)
class Offer:
    """Candidates that build on each other, and the packets that the first one costs."""

    steps: Sequence[Candidate]
    price: float

    @property
    def worth(self) -> float:
        """The share of the noise that a packet removes."""
        return self.steps[0].share / max(self.price, 1.0)


def affordable(offers: Sequence[Offer], packets: float) -> list[Offer]:
    """Those whose first steps remove most noise together.

    Args:
        offers: of which any may be taken.
        packets: that all of them may cost.
    """
    shares = np.array([offer.steps[0].share for offer in offers])
    prices = np.array([offer.price for offer in offers])
    sets = (np.arange(1 << len(offers))[:, None] >> np.arange(len(offers))) & 1
    removed = np.where(sets @ prices <= packets, sets @ shares, -1.0)
    best = sets[int(np.argmax(removed))]
    return [offer for offer, taken in zip(offers, best, strict=True) if taken]


def _with(candidates: Sequence[Candidate], recipe: Recipe) -> Recipe:
    """A recipe and candidates."""
    for candidate in candidates:
        recipe = replace(recipe, precision=candidate.added(recipe.precision))
    return recipe


def _step(candidates: Sequence[Candidate], free: Sequence[Step] = ()) -> Step:
    """Candidates and free steps at once."""
    changes: list[Callable[[Recipe], Recipe]] = [partial(_with, candidates)]
    changes += [step.change for step in free]
    names = [*(candidate.name for candidate in candidates), *(step.name for step in free)]

    def change(best: Recipe) -> Recipe:
        return reduce(lambda recipe, other: other(recipe), changes, best)

    return Step(", ".join(names), change)


def spend(validation: CrossValidation[Model], fitted: Refinement, budget: Budget) -> None:
    """Try to compute parts of the model more precisely.

    Args:
        validation: decides, and has the best recipe so far.
        fitted: models that are fitted on all samples.
        budget: of packets.
    """
    found = fitted.candidates(validation.best)
    if found:
        Spending(validation, budget).run(found)


class Spending:
    """Spends packets on a model.

    Args:
        validation: decides, and has the best recipe so far.
        budget: of packets.
    """

    def __init__(self, validation: CrossValidation[Any], budget: Budget) -> None:
        self._validation, self._packets = validation, budget.packets
        self._taken = budget.packets(validation.best)
        self._most = budget.behind(self._taken)

    def run(self, found: Sequence[Sequence[Candidate]]) -> None:
        """Try candidates, of which each list builds on itself.

        Those that gained, but not by more than chance, are tried once more together, and with what
        so gained for no packets.
        """
        largest = sorted(found, key=lambda steps: -steps[0].share)[:MOST_PRICED]
        offers, tested = [self._offer(steps) for steps in largest], 0
        free, doubtful = self._validation.doubtful[-1:], list[Candidate]()
        while tested < MOST_TESTED and (chosen := affordable(offers, self._most - self._taken)):
            best = max(chosen, key=lambda offer: offer.worth)
            offers.remove(best)
            tested += 1
            if not self._kept(_step(best.steps[:1]), self._taken + best.price):
                doubtful += best.steps[:1] if self._validation.steps[-1].gained else ()
            elif len(best.steps) > 1:
                offers.append(self._offer(best.steps[1:]))
        if doubtful and not self._together(doubtful, ()):
            self._together(doubtful, free)

    def _together(self, doubtful: Sequence[Candidate], free: Sequence[Step]) -> bool:
        """Try the first candidates, as many as the budget allows, and what is free."""
        while len(doubtful) + len(free) > 1 and doubtful:
            step = _step(doubtful, free)
            packets = self._packets(step.change(self._validation.best))
            if packets <= self._most:
                return self._kept(step, packets)
            doubtful = doubtful[:-1]
        return False

    def _kept(self, step: Step, packets: float) -> bool:
        kept = self._validation.tries(step, (self._taken, packets))
        if kept:
            self._taken = packets
        return kept

    def _offer(self, steps: Sequence[Candidate]) -> Offer:
        return Offer(steps, self._packets(_with(steps[:1], self._validation.best)) - self._taken)
