"""Sums that do not depend on the order of their terms."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import fsum

MOST_ROWS = 256
"""Rows of terms that are kept before they are replaced by fewer ones of the same sums."""


class ExactSums:
    """Sums of finite float64, each rounded once, when it is read.

    Sums over parts of the samples can so be added up in any order, to the same bits.

    Args:
        count: how many sums.
    """

    def __init__(self, count: int) -> None:
        self._rows: list[Sequence[float]] = [(0.0,) * count]

    def add(self, terms: Sequence[float]) -> None:
        """Add one number to each."""
        self._rows.append(terms)
        if len(self._rows) > MOST_ROWS:
            self._rows = _fewer(self._rows)

    def merge(self, other: ExactSums) -> None:
        """Add the terms of other sums."""
        self._rows = _fewer(self._rows + other._rows)

    def rounded(self) -> list[float]:
        """The sums."""
        return [fsum(column) for column in zip(*self._rows, strict=True)]


def _fewer(rows: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """Rows with the same exact sums."""
    columns = [_parts(column) for column in zip(*rows, strict=True)]
    return list(zip_longest(*columns, fillvalue=0.0))


def _parts(terms: Sequence[float]) -> list[float]:
    """The sum of the terms, what that was rounded by, what this was rounded by, and so on.

    `fsum` rounds the exact sum, once.
    """
    found: list[float] = []
    while rest := fsum([*terms, *(-item for item in found)]):
        found.append(rest)
    return found or [0.0]
