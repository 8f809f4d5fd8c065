"""Softmaxes that are computed more precisely by default, as many as a few more packets allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hexconv.precision import PLAIN, Precision

MOST_PACKETS = 1.0285
"""Of `accuracy="minmax"`, predicted: 3 % in the library, which takes 5 % more of what is added."""


def affordable(
    names: Sequence[str], packets: Callable[[Precision], float], least: Callable[[], float]
) -> Precision:
    """The first of them, as many as packets allow.

    Args:
        names: outputs of Softmax, best first.
        packets: of the model with what is computed more precisely.
        least: packets of the model of `accuracy="minmax"`.
    """
    if not names:
        return PLAIN
    most, low, high = MOST_PACKETS * least(), 0, len(names)
    while low < high:
        middle = (low + high + 1) // 2
        fits = packets(_first(names, middle)) <= most
        low, high = (middle, high) if fits else (low, middle - 1)
    return _first(names, low)


def _first(names: Sequence[str], count: int) -> Precision:
    return Precision(written_out=tuple(sorted(names[:count])))
