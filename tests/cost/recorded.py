"""Recorded costs: nodes held out of the fit, and whole graphs (benchmarks/fit_cost.py)."""

from __future__ import annotations

import csv
from pathlib import Path

from benchmarks.measured_cost import facts_of
from hexconv.cost.facts import Facts

HERE = Path(__file__).parents[1] / "golden" / "cost"
Row = dict[str, str]


def rows(name: str) -> list[Row]:
    """Rows of a recorded file."""
    with (HERE / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def facts(row: Row) -> Facts:
    """The facts of a recorded node."""
    columns = ("op", "padding", "inputs", "outputs", "parameters")
    return facts_of(*(row[column] for column in columns))
