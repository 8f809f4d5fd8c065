"""Sums that do not depend on the order of their terms."""

from __future__ import annotations

SMALLEST = 1074
"""The smallest float64 is 2**-SMALLEST: every float64 is a whole number of those."""


class ExactSum:
    """A sum of finite float64, rounded once, when it is read.

    Sums over parts of the samples can so be added up in any order, to the same bits.
    """

    def __init__(self) -> None:
        self._units = 0

    def add(self, term: float) -> None:
        """Add one number."""
        numerator, denominator = term.as_integer_ratio()
        self._units += numerator << (SMALLEST - denominator.bit_length() + 1)

    def merge(self, other: ExactSum) -> None:
        """Add the terms of another sum."""
        self._units += other._units

    def __float__(self) -> float:
        return self._units / (1 << SMALLEST)
