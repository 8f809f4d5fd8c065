"""Ranges of one of two observers, chosen by the error of the simulated model.

The range of the least squared error is better where noise adds up on its way to the outputs, and
worse where rare large values carry the result. The samples that are simulated are those of the
calibration: there the range of all that was seen clips nothing, which it does on other samples, so
that the choice is on its side.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from hexconv.conversion_record import RefineStep
from hexconv.model import Model
from hexconv.quantize import Bounds
from hexconv.refine.held_back import Score

GAIN = 0.1
"""dB over all samples that other ranges have to gain; and most samples have to be better."""
Ranges = Mapping[str, Bounds]


@dataclass(frozen=True)
class Chosen:
    """The better ranges.

    Attributes:
        ranges: of each value.
        model: with them.
        steps: what was tried.
    """

    ranges: Ranges
    model: Model
    steps: tuple[RefineStep, ...] = ()


def chosen_ranges(
    seen: Ranges,
    candidates: Mapping[str, Ranges],
    build: Callable[[Ranges], Model],
    score: Callable[[Model], Score],
) -> Chosen:
    """The better ranges, the model with them, and what was tried.

    Args:
        seen: (min, max) of each value.
        candidates: other ranges, by what they are.
        build: makes a model with given ranges.
        score: of a model, on samples of the calibration.
    """
    best, steps = Chosen(seen, build(seen)), []
    reached = score(best.model)
    for name, tried in candidates.items():
        model = build(tried)
        after = score(model)
        kept = _is_better(after, reached)
        steps.append(RefineStep(name, reached.sqnr, after.sqnr, kept, calibrated=True))
        best, reached = (Chosen(tried, model), after) if kept else (best, reached)
    return replace(best, steps=tuple(steps))


def _is_better(after: Score, before: Score) -> bool:
    better = sum(a < b for a, b in zip(after.noise, before.noise, strict=True))
    return after.sqnr > before.sqnr + GAIN and 2 * better > len(after.noise)


def other_ranges(
    seen: Ranges, narrow: Ranges, ends: Collection[str], complete: Callable[[Ranges], Ranges]
) -> dict[str, Ranges]:
    """What `chosen_ranges` may take: narrow ranges of all values, and of all but the outputs.

    Args:
        seen: (min, max) of each value.
        narrow: ranges of the least squared error.
        ends: the model's outputs.
        complete: adds the ranges of what rewriting by given ranges introduces.
    """
    inner = {name: bounds for name, bounds in narrow.items() if name not in ends}
    return {
        "ranges of the least squared error": complete({**seen, **narrow}),
        "the same but for outputs": complete({**seen, **inner}),
    }
