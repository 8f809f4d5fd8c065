"""The steps of `accuracy="high"`, and what a model has of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

LEAST_VALUES = (500, 12)
"""Values of a channel from which on its mean error is trusted, one after the other."""


@dataclass(frozen=True)
class Recipe:
    """What is fitted to samples, apart from what the default does.

    Attributes:
        mixed: ranges of either observer by the error at the outputs.
        searched: ranges narrowed by each tensor's noise.
        least: values of a channel, from which on its bias is corrected; 0 for none.
        weights: whether weights are rounded for their inputs.
    """

    mixed: bool = False
    searched: bool = False
    least: int = 0
    weights: bool = False

    @property
    def of_ranges(self) -> Recipe:
        """What it has of ranges: the model that constants are changed of."""
        return replace(self, least=0, weights=False)


@dataclass(frozen=True)
class Step:
    """One thing to try.

    Attributes:
        name: in the report.
        change: makes the recipe that is tried of the best one so far.
    """

    name: str
    change: Callable[[Recipe], Recipe]


RANGES = (
    Step("ranges by output error", lambda best: replace(best, mixed=True)),
    Step("ranges by each tensor's noise", lambda best: replace(best, searched=True)),
)
BIASES = tuple(
    Step(
        f"biases of channels with {least} values",
        lambda best, least=least: replace(best, least=least),  # type: ignore[misc]
    )
    for least in LEAST_VALUES
)
WEIGHTS = (
    Step(
        "weights rounded for their inputs, and biases",
        lambda best: replace(best, least=best.least or LEAST_VALUES[0], weights=True),
    ),
)
TOGETHER = (
    # Each may gain too little alone to tell it from chance.
    Step(
        "ranges, biases and weights together",
        lambda best: replace(
            best, searched=True, least=best.least or LEAST_VALUES[0], weights=True
        ),
    ),
)


def steps(*, ranges: bool) -> tuple[Step, ...]:
    """What is tried of a model for the DSP, in this order.

    Args:
        ranges: whether they may be changed.
    """
    return (*RANGES, *BIASES, *WEIGHTS, *TOGETHER) if ranges else (*BIASES, *WEIGHTS)
