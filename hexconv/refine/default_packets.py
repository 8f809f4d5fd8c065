"""What is computed more precisely by default: as much as a little more time allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hexconv.precision import PLAIN, Precision

MOST_PACKETS = 1.0285
"""Of `accuracy="minmax"`, predicted: 3 % in the library, which takes 5 % more of what is added."""
MOST_TIME = 1.07
"""The same of milliseconds, in which the nodes count that are added."""
SUMS = "sums_by_channel"
"""Rewrite that takes packets for fewer roundings."""
Price = tuple[float, float]
"""Predicted packets and milliseconds."""


def too_dear(price: Price, least: Price) -> frozenset[str]:
    """The rewrites to leave out, where a model takes too many packets with them.

    Args:
        price: of the model with them.
        least: price of the model of `accuracy="minmax"`.
    """
    return frozenset([SUMS]) if price[0] > MOST_PACKETS * least[0] else frozenset()


def affordable(
    names: Sequence[str], price: Callable[[Precision], Price], least: Callable[[], Price]
) -> Precision:
    """The first of them, as many as packets and milliseconds allow.

    Args:
        names: outputs of Softmax, best first.
        price: of the model with what is computed more precisely.
        least: price of the model of `accuracy="minmax"`.
    """
    if not names:
        return PLAIN
    packets, milliseconds = least()
    most, low, high = (MOST_PACKETS * packets, MOST_TIME * milliseconds), 0, len(names)
    while low < high:
        middle = (low + high + 1) // 2
        fits = all(a <= b for a, b in zip(price(_first(names, middle)), most, strict=True))
        low, high = (middle, high) if fits else (low, middle - 1)
    return _first(names, low)


def _first(names: Sequence[str], count: int) -> Precision:
    return Precision(written_out=tuple(sorted(names[:count])))
