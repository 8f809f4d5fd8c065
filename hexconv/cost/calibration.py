"""The time model of a user's phone, fitted to its profile log of a model, stored under a name."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from hexconv.cost.fitting import robust
from hexconv.cost.terms import Terms, reorders
from hexconv.errors import ConfigError, FileError
from hexconv.files import write_files
from hexconv.nnlib.versions import LIBRARIES, LibraryVersion

if TYPE_CHECKING:
    from hexconv.cost.logs import Log
    from hexconv.cost.prediction import Cost

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
LEAST_TYPES = 6
LEAST_SHARE = 0.5
SPREAD = 0.8
"""The part of the types that the factor of a profile covers."""


@dataclass(frozen=True)
class PhoneProfile:
    """The time model of a phone.

    Attributes:
        name: for `--soc`.
        library: the version of nnlib that the phone loads.
        terms: time of a node, a byte, a packet.
        factor: 80 % of the node types are predicted within it, either way.
        predicted_ms: of the log's model, by the terms.
        logged_ms: of the log's model, by the log.
        source: the log's file.
    """

    name: str
    library: LibraryVersion
    terms: Terms
    factor: float
    predicted_ms: float
    logged_ms: float
    source: str


def calibrate(cost: Cost, log: Log, name: str) -> PhoneProfile:
    """Fit the terms to a log.

    Args:
        cost: predicted for the model that ran, on the library of the phone.
        log: of that model.
        name: of the profile.

    Raises:
        ConfigError: the log counts no time, is of another model, or has too few types of node.
    """
    _check_name(name)
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
    terms = Terms(found[0] * 1e3, found[1] * 1e6, found[2] * 1e6, found[3] * 1e6)
    return PhoneProfile(
        name=name,
        library=cost.library if cost.library != "open" else "v60",
        terms=Terms(**{key: round(value, 4) for key, value in asdict(terms).items()}),
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
            "this log is of another model",
            where=log.source,
            why=f"types with equal numbers of nodes are {100 * share:.0f} % of the log's time",
            hint="give the .pb that ran on the phone, and --library of the phone",
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


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' cannot name a phone's profile", hint="use letters, digits, '-', '_' and '.'"
        )


# ---- stored under a name


def folder() -> Path:
    """The folder of the profiles: `$XDG_CONFIG_HOME/hexconv/phones`, or below `~/.config`."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "hexconv" / "phones"


def store(profile: PhoneProfile) -> Path:
    """Write a profile to its file; return the path.

    Raises:
        FileError: it cannot be written.
    """
    path = folder() / f"{profile.name}.yml"
    text = yaml.safe_dump(asdict(profile), sort_keys=False, allow_unicode=True)
    write_files({path: text.encode()})
    return path


def stored_profile(name: str) -> PhoneProfile | None:
    """The profile of a name, or None.

    Raises:
        FileError: its file is malformed.
    """
    path = folder() / f"{name}.yml"
    if not NAME.fullmatch(name) or not path.is_file():
        return None
    return _read(path, path.stat().st_mtime_ns)


@functools.cache
def _read(path: Path, changed: int) -> PhoneProfile:
    """The profile in a file, cached until the file changes."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        profile = PhoneProfile(**{**values, "terms": Terms(**values["terms"])})
        if profile.library not in LIBRARIES:
            raise ValueError(f"'{profile.library}' is not a library")
        if not all(number >= 0 for number in [*asdict(profile.terms).values(), profile.factor - 1]):
            raise ValueError("a term is negative, or the factor below 1")
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise FileError(
            "this is not the profile of a phone",
            where=str(path),
            why=str(error).splitlines()[0],
            hint=f"make it again: cost MODEL.pb --calibrate phone.log --as {path.stem}",
        ) from error
    return profile


def stored_names() -> list[str]:
    """The names of all stored profiles."""
    return sorted(path.stem for path in folder().glob("*.yml"))
