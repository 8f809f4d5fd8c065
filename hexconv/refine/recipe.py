"""The steps of `accuracy="high"`, and what a model has of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hexconv.precision import PLAIN, Precision


@dataclass(frozen=True)
class Recipe:
    """What is fitted to samples, apart from what the default does.

    Attributes:
        wider: share by which ranges are wider than what was seen.
        mixed: ranges of either observer by the error at the outputs.
        searched: ranges narrowed by each tensor's noise.
        precision: what is computed more precisely, for packets.
        biases: whether biases are corrected.
        weights: whether weights are rounded for their inputs.
    """

    wider: float = 0.0
    mixed: bool = False
    searched: bool = False
    precision: Precision = PLAIN
    biases: bool = False
    weights: bool = False

    @property
    def of_ranges(self) -> Recipe:
        """Without what changes constants: the model that they are changed of."""
        return replace(self, biases=False, weights=False)

    @property
    def inside(self) -> Recipe:
        """Without what is changed behind all layers."""
        return replace(self, precision=replace(self.precision, outputs=()))


@dataclass(frozen=True)
class Step:
    """One thing to try.

    Attributes:
        name: in the report.
        change: makes the recipe that is tried of the best one so far.
        confirm: makes another one of the same kind, of a step that is judged by the noise of all
            samples together (`CrossValidation.tries`).
    """

    name: str
    change: Callable[[Recipe], Recipe]
    confirm: Callable[[Recipe], Recipe] | None = None


WIDER = (
    Step(
        "ranges 20 % wider than what was seen",
        lambda best: replace(best, wider=0.2),
        lambda best: replace(best, wider=0.3),
    ),
)
RANGES = (
    Step("ranges by output error", lambda best: replace(best, mixed=True)),
    Step("ranges by each tensor's noise", lambda best: replace(best, searched=True)),
)
BIASES = (Step("biases", lambda best: replace(best, biases=True)),)
WEIGHTS = (
    Step(
        "weights rounded for their inputs, and biases",
        lambda best: replace(best, biases=True, weights=True),
    ),
)
TOGETHER = (
    # Each may gain too little alone to tell it from chance.
    Step(
        "ranges, biases and weights together",
        lambda best: replace(best, searched=True, biases=True, weights=True),
    ),
)


def steps(*, ranges: bool) -> tuple[Step, ...]:
    """What is tried of a model after its ranges, in this order.

    Args:
        ranges: whether they may be changed.
    """
    return (*BIASES, *WEIGHTS, *TOGETHER) if ranges else (*BIASES, *WEIGHTS)
