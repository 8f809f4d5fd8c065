"""Ranges of one of two observers, chosen by the error of the simulated model.

The range of the least squared error is better where noise adds up on its way to the outputs, and
worse where rare large values carry the result, or where samples leave the range that others have.
The samples that are simulated are those of the calibration: there the range of all that was seen
clips nothing, and the other one what it was chosen to clip. A small gain says little of others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hexconv.conversion_record import RefineStep
from hexconv.model import Model
from hexconv.quantize import Bounds
from hexconv.refine.scores import Score, least_better, told_by_logits

GAIN = 0.5
"""dB over all samples that other ranges have to gain; and three quarters of them have to be better.

Of a vocoder whose inputs are random walks 0.3 dB were gained so, and 1.1 lost on other inputs.
"""
SURE_GAIN = 0.2
"""The same where the gains of the samples are above 0 by more than chance, as in `high`.

Of 23 networks three gained so, and 0.6, 0.8 and 1.2 dB on other inputs; what the vocoder gained
was chance by that measure.
"""
LEAST_ERROR = "ranges of the least squared error"
Ranges = Mapping[str, Bounds]


def chosen_ranges(
    seen: Ranges,
    narrow: Ranges,
    build: Callable[[Ranges], Model],
    compare: Callable[[Model, Model], tuple[Score, Score]],
) -> tuple[Ranges, Model, RefineStep]:
    """The better ranges, the model with them, and what was tried.

    Args:
        seen: (min, max) of each value.
        narrow: ranges of the least squared error.
        build: makes a model with given ranges.
        compare: the scores of two models, on samples of the calibration.
    """
    found = [(ranges, build(ranges)) for ranges in (seen, narrow)]
    before, after = compare(*(model for _, model in found))
    kept = _is_better(after, before)
    step = RefineStep(LEAST_ERROR, before.sqnr, after.sqnr, kept, calibrated=True)
    return *found[kept], step


def _is_better(after: Score, before: Score) -> bool:
    """By outputs; or by logits, where the outputs' noise does not rise by more than chance."""
    pair = [(before, after)]
    return _told(pair) or told_by_logits(pair, _told)


def _told(pair: Sequence[tuple[Score, Score]]) -> bool:
    ((before, after),) = pair
    better = sum(a < b for a, b in zip(after.noise, before.noise, strict=True))
    gain = after.sqnr - before.sqnr
    sure = gain > GAIN or (gain > SURE_GAIN and after.beats(before))
    return sure and better >= least_better(len(after.noise))
