"""Recorded costs: nodes held out of the fit, and whole graphs (benchmarks/fit_cost.py)."""

from __future__ import annotations

import csv
from pathlib import Path

from hexconv.cost.facts import Facts, with_real_output
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.layout import Shape4

HERE = Path(__file__).parents[1] / "golden" / "cost"
Row = dict[str, str]


def rows(name: str) -> list[Row]:
    """Rows of a recorded file."""
    with (HERE / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def facts(row: Row) -> Facts:
    """The facts of a recorded node."""
    ints = dict(part.split("=") for part in row["parameters"].split())
    return with_real_output(
        Facts(
            op=row["op"],
            inputs=_shapes(row["inputs"]),
            outputs=_shapes(row["outputs"]),
            ints={role: tuple(map(int, text.split(","))) for role, text in ints.items()},
            padding=Padding[row["padding"]],
        )
    )


def _shapes(text: str) -> tuple[Shape4, ...]:
    found = []
    for part in text.split():
        b, h, w, d = map(int, part.split("x"))
        found.append((b, h, w, d))
    return tuple(found)
