"""The report of a model that was saved: the one beside it, if it is that model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hexconv.errors import FileError
from hexconv.model import Model, load
from hexconv.report.diff import read_report

SAME = ("name", "nnlib_ops", "consts", "weight_bytes", "inputs", "outputs")
"""What a report and its model have in common."""


def report_of(path: Path, model: Model | None = None) -> dict[str, Any]:
    """The report of a `NAME.pb`: `NAME.report.json` beside it, else made from the model.

    Args:
        path: of the `.pb`.
        model: as loaded from it.

    Raises:
        FileError: the model cannot be read.
        GraphError: its files do not fit each other.
    """
    own = (model or load(path)).report()
    beside = path.with_suffix(".report.json")
    try:
        stored = read_report(beside)
    except FileError:
        return own
    fits = all(_interface(stored.get(key)) == _interface(own[key]) for key in SAME)
    return {**stored, "cost": own["cost"]} if fits else own


def _interface(value: Any) -> Any:
    """Without the ranges, which a `.pb` holds rounded."""
    if isinstance(value, list):
        return [{**item, "range": None} for item in value]
    return value
