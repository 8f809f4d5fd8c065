"""Sums that do not depend on the order of their terms."""

from __future__ import annotations

from math import frexp

DIGITS = 53
"""Of a float64's mantissa: times 2**DIGITS it is a whole number."""
UNIT = 1074 + DIGITS
"""2**-UNIT divides what the last digit of any mantissa stands for, the smallest float64's too."""


class ExactSum:
    """A sum of finite float64, rounded once, when it is read.

    Sums over parts of the samples can so be added up in any order, to the same bits.
    """

    def __init__(self) -> None:
        self._mantissas: dict[int, int] = {}

    def add(self, term: float) -> None:
        """Add one number."""
        mantissa, exponent = frexp(term)
        self._add(exponent, int(mantissa * 2**DIGITS))

    def _add(self, exponent: int, mantissa: int) -> None:
        self._mantissas[exponent] = self._mantissas.get(exponent, 0) + mantissa

    def merge(self, other: ExactSum) -> None:
        """Add the terms of another sum."""
        for exponent, mantissa in other._mantissas.items():
            self._add(exponent, mantissa)

    def __float__(self) -> float:
        units = sum(m << (UNIT + exponent - DIGITS) for exponent, m in self._mantissas.items())
        return units / (1 << UNIT)
