"""Advice for the most expensive rows of a profile (op_tables/advice)."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hexconv import resources

WORTH = 0.02
"""A share of the whole below which a row gets no advice."""


@dataclass(frozen=True)
class Advice:
    """A node type, its share of the whole, and what helps.

    Args:
        rewrites: hexconv's rewrites that make it cheaper, by name.
    """

    op: str
    share: float
    en: str
    zh: str
    rewrites: tuple[str, ...]

    def text(self, lang: str = "en") -> str:
        """The sentence in a language."""
        return self.zh if lang == "zh" else self.en


def advise(shares: Iterable[tuple[str, float]], most: int = 5) -> list[Advice]:
    """Advice for the most expensive types.

    Args:
        shares: (executed op, cost), in any unit.
        most: how many types at most.
    """
    costs = sorted(shares, key=lambda item: -item[1])
    whole = sum(cost for _, cost in costs) or 1.0
    found = []
    for op, cost in costs[:most]:
        row = table().get(op)
        if row is not None and cost / whole >= WORTH:
            rewrites = tuple(row["rewrites"])
            found.append(Advice(op, cost / whole, row["en"], row["zh"], rewrites))
    return found


@functools.cache
def table() -> Mapping[str, Any]:
    """Every row of advice by executed op."""
    return resources.Entries(resources.folder("op_tables") / "advice")
