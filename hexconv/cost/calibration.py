"""The time model of a user's phone, fitted to its profile log of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hexconv.cost.fitting import robust
from hexconv.cost.phones import PhoneProfile, check_name
from hexconv.cost.terms import Terms, reorders
from hexconv.errors import ConfigError

if TYPE_CHECKING:
    from hexconv.cost.logs import Log
    from hexconv.cost.prediction import Cost

LEAST_TYPES = 6
LEAST_SHARE = 0.5
SPREAD = 0.8
"""The part of the types that the factor of a profile covers."""


def calibrate(cost: Cost, log: Log, name: str) -> PhoneProfile:
    """Fit the terms to a log.

    Args:
        cost: predicted for the model that ran, on the library of the phone.
        log: of that model.
        name: of the profile.

    Raises:
        ConfigError: the log counts no time, is of another model, or has too few types of node.
    """
    check_name(name)
    if log.unit != "ms":
        raise ConfigError(
            f"this log counts {log.unit}, not time",
            where=log.source,
            hint="give the log of MACE's benchmark, which has milliseconds",
        )
    ops = _shared(cost, log)
    rows = np.array([_row(cost, op) for op in ops])
    logged = np.array([log.by_type[op].value for op in ops])
    found = robust(rows, logged, rounds=40)
    fitted = rows @ found
    apart = np.exp(np.abs(np.log(np.maximum(fitted, 1e-9) / logged)))
    units = np.array([1e3, 1e6, 1e6, 1e6])  # ms as us a node, and ns a byte or packet
    return PhoneProfile(
        name=name,
        library=cost.library if cost.library != "open" else "v60",
        terms=Terms(*(round(float(value), 4) for value in found * units)),
        factor=round(float(np.quantile(apart, SPREAD)), 3),
        predicted_ms=round(float(fitted.sum()), 3),
        logged_ms=round(float(logged.sum()), 3),
        source=Path(log.source).name,
    )


def _shared(cost: Cost, log: Log) -> list[str]:
    """The node types of which log and prediction have the same number.

    Raises:
        ConfigError: they are too few, or too small a part of the log's time.
    """
    predicted = cost.by_type
    ops = [
        op
        for op, row in log.by_type.items()
        if row.value > 0 and op in predicted and predicted[op].count == row.count
    ]
    share = sum(log.by_type[op].value for op in ops) / (log.total or 1.0)
    if share < LEAST_SHARE:
        raise ConfigError(
            "this log is of another model, or not whole",
            where=log.source,
            why=f"types with equal numbers of nodes are {100 * share:.0f} % of the log's time",
            hint="give the whole log and the .pb that ran on the phone, and --library of the phone",
        )
    if len(ops) < LEAST_TYPES:
        raise ConfigError(
            f"{len(ops)} types of node are too few to fit the terms to",
            where=log.source,
            hint=f"profile a model with {LEAST_TYPES} or more types of node",
        )
    return ops


def _row(cost: Cost, op: str) -> Sequence[float]:
    """Nodes, bytes streamed, bytes reordered, and packets of a type."""
    item = cost.by_type[op]
    spread = reorders(op)
    return item.count, item.moved * (not spread), item.moved * spread, item.packets
