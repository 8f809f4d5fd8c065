"""Reading a report, as its schema has it: a part that was not measured is absent or null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]


def accuracy_rows(report: Report, kind: str) -> Sequence[Mapping[str, Any]]:
    """The "outputs", "layers" or "metrics" of the accuracy; none where it was not measured."""
    rows: Sequence[Mapping[str, Any]] = (report.get("accuracy") or {}).get(kind, ())
    return rows


def figures_of(layer: Mapping[str, Any]) -> Mapping[str, Any]:
    """A layer's figures on the held-out samples; without such samples those of calibration."""
    figures: Mapping[str, Any] = layer["held_out"] or layer["calibration"]
    return figures


def warnings_of(report: Report) -> list[str]:
    """Every warning of the conversion and of what came after it."""
    did = report.get("conversion") or {}
    return [*did.get("warnings", ()), *report.get("warnings", ())]


def in_units(figure: str, value: float) -> str:
    """A figure in the unit in which limits are given, rounded to what tells it from its limit."""
    if figure == "memory":
        return f"{value / 2**20:,.2f} MiB" if value >= 2**20 else f"{value:,.0f} bytes"
    return f"{value:,.0f}" if figure == "packets" else f"{value:,.4g}"
