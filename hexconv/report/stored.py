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

    One that is there but cannot be shown is a warning of the report.

    Args:
        path: of the `.pb`.
        model: as loaded from it.

    Raises:
        FileError: the model cannot be read.
        GraphError: its files do not fit each other.
    """
    own = (model or load(path)).report()
    beside = path.parent / f"{path.stem}.report.json"
    if not beside.exists():
        return own
    try:
        stored = read_report(beside)
    except FileError as error:
        return {**own, "warnings": [f"{beside.name} is not shown: {error.why or error.what}"]}
    if any(_interface(stored.get(key)) != _interface(own[key]) for key in SAME):
        return {**own, "warnings": [f"{beside.name} is not shown: it is of another model"]}
    return {**stored, "cost": own["cost"]}


def _interface(value: Any) -> Any:
    """Without the ranges, which a `.pb` holds rounded."""
    if isinstance(value, list):
        return [{**item, "range": None} for item in value]
    return value
