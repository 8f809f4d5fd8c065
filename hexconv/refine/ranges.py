"""Ranges from two observers, chosen by the error at the model's outputs.

In a residual stream the range of least squared error is best; where large values carry the result
it is the whole one. Which of them is right for a part of the network shows at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from hexconv.quantize import Bounds

PARTS = 8
"""Parts of the network, in its order, whose ranges are chosen apart."""
GAIN = 0.02
"""dB at the outputs that a part's other ranges have to gain."""

Ranges = Mapping[str, Bounds]


def mixed_ranges(
    first: Ranges, second: Ranges, score: Callable[[Ranges], float], tick: Callable[[], None]
) -> dict[str, Bounds]:
    """The better of two sets of ranges, with those of the other where that is better.

    Args:
        first: of every tensor, in the order of the graph.
        second: of the same tensors.
        score: the SQNR in dB of a model with given ranges.
        tick: called after each model.
    """

    def scored(ranges: Ranges) -> float:
        found = score(ranges)
        tick()
        return found

    differing = [name for name in first if name in second and first[name] != second[name]]
    if not differing:
        return dict(first)
    best, other = dict(first), dict(second)
    reached, opposite = scored(best), scored(other)
    if opposite > reached:
        best, other, reached = other, best, opposite
    for part in _parts(differing):
        tried = {**best, **{name: other[name] for name in part}}
        found = scored(tried)
        if found > reached + GAIN:
            best, reached = tried, found
    return best


def _parts(names: list[str]) -> list[list[str]]:
    count = min(PARTS, len(names))
    ends = [place * len(names) // count for place in range(count + 1)]
    return [names[start:end] for start, end in pairwise(ends)]
