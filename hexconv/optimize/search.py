"""`--optimize all`: toggle each rewrite, keep what the cost model predicts to be cheaper.

Greedy over the rewrites in their order, so deterministic and bounded: one conversion per rewrite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexconv.optimize.registry import REWRITES, Stage

if TYPE_CHECKING:
    from hexconv.model import Model

TOLERANCE_DB = 0.25
"""How much SQNR a cheaper form may cost, for the worst output."""
WORTH = 0.999
"""A form counts as cheaper from a thousandth on: less is within the model's error."""


MORE_PACKETS = 1.02
"""By how much packets may grow where the predicted time falls."""


@dataclass(frozen=True)
class Choice:
    """Disabled rewrites, and enabled alternatives."""

    without: frozenset[str]
    also: frozenset[str] = frozenset()

    def turned(self, name: str) -> Choice:
        """The same with one rewrite toggled."""
        if REWRITES[name].default:
            return Choice(self.without ^ {name}, self.also)
        return Choice(self.without, self.also ^ {name})


@dataclass(frozen=True)
class Scored:
    """A model with its predicted milliseconds and packets, and its worst SQNR."""

    choice: Choice
    model: Model
    milliseconds: float
    packets: float
    sqnr: float

    def beats(self, other: Scored, floor: float) -> bool:
        """Faster, with hardly more packets, and accurate enough.

        Milliseconds come from one published profile, packets from measurements: a form faster
        by the one and more expensive by the other is not taken.
        """
        return (
            self.milliseconds < WORTH * other.milliseconds
            and self.packets <= MORE_PACKETS * other.packets
            and self.sqnr >= floor
        )


def search(
    build: Callable[[Choice], Model],
    score: Callable[[Model], tuple[float, float, float]],
    start: Choice,
    progress: Callable[[str, int, int], None] | None = None,
) -> Model:
    """The cheapest model found whose accuracy is not worse than `TOLERANCE_DB` below the start's.

    Args:
        build: converts with a choice of rewrites.
        score: (predicted milliseconds, packets, SQNR in dB) of a model.
        start: the user's choice; rewrites that it disables stay disabled.
        progress: called with ("search", tried, number of candidates).
    """
    best = _scored(build, score, start)
    floor = best.sqnr - TOLERANCE_DB
    candidates = list(_candidates(start))
    for tried, name in enumerate(candidates):
        if progress is not None:
            progress("search", tried, len(candidates))
        other = _scored(build, score, best.choice.turned(name))
        if other.beats(best, floor):
            best = other
    return best.model


def _candidates(start: Choice) -> Iterator[str]:
    """Only rewrites of forms: those that change tensors' values would need a new calibration."""
    for item in REWRITES.values():
        if item.stage is not Stage.FLOAT and item.name not in start.without | start.also:
            yield item.name


def _scored(
    build: Callable[[Choice], Model],
    score: Callable[[Model], tuple[float, float, float]],
    choice: Choice,
) -> Scored:
    model = build(choice)
    return Scored(choice, model, *score(model))
