"""Predicted packets that a refined model may take.

Steps that change constants and ranges are to cost nothing. Other ranges may give a node another
form, though, that takes many more: they are kept only within what may be spent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from hexconv.precision import PLAIN
from hexconv.refine.recipe import Recipe

FREE = 1.01
"""Of the packets without a step, that it takes at most if it is said to cost none."""
Price = Callable[[Recipe], float]


@dataclass(frozen=True)
class Budget:
    """What may be spent.

    Attributes:
        packets: that the model of a recipe takes.
        extra: how many more than the plain model it may take, in %.
    """

    packets: Price
    extra: float

    @cached_property
    def most(self) -> float:
        """Packets of a model at most."""
        return self._plain * (1.0 + self.extra / 100.0)

    def behind(self, taken: float) -> float:
        """The same behind ranges with which the model takes so many: none that they save."""
        return min(self._plain, taken) * (1.0 + self.extra / 100.0)

    def spent(self, best: Recipe, recipe: Recipe) -> tuple[float, float] | None:
        """Packets without a recipe's ranges and with them; None where they are the same, or few."""
        ranges = [replace(each.of_ranges, precision=PLAIN) for each in (best, recipe)]
        if ranges[0] == ranges[1]:
            return None
        before, after = self.packets(best.of_ranges), self.packets(recipe.of_ranges)
        return (before, after) if after > FREE * before else None

    @cached_property
    def _plain(self) -> float:
        return self.packets(Recipe())
