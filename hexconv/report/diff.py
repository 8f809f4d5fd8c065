"""What changed between two reports: accuracy, packets, nodes, memory, coverage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hexconv.argument_types import TWO_NAMES, checks_types
from hexconv.errors import ConfigError, FileError
from hexconv.files import parse_json, read_bytes
from hexconv.names import listed
from hexconv.report.document import accuracy_rows
from hexconv.schema import check_document

UNITS = {
    "sqnr": "dB",
    "cosine": "",
    "close": "",
    "top1": "",
    "metric": "",
    "metric_error": "",
    "packets": "packets",
    "nodes": "nodes",
    "milliseconds": "ms",
    "prepare": "bytes",
    "execute": "bytes",
    "weights": "bytes",
    "node_share": "",
    "mac_share": "",
    "unsupported": "nodes",
}
"""The figures that are compared, and their units."""
MORE_IS_BETTER = ("sqnr", "cosine", "close", "top1", "node_share", "mac_share")
SETS = {"calibration": "calibration", "held_out": "held-out", "random": "random"}
EITHER_WAY = ("metric",)
"""Figures of which more may be better or worse: hexconv does not know. `metric_error` is how far
a metric of the user's is from that of the float model."""
TOLERANCE = {"sqnr": 0.05, "cosine": 1e-5, "close": 1e-3, "top1": 1e-3}
"""How much worse counts as the same, where nothing else is asked for; the rest is exact."""
Figures = dict[tuple[str, str], float]
"""Values by (figure, output or layer)."""


@dataclass(frozen=True)
class Change:
    """One figure of both reports.

    Attributes:
        figure: of `UNITS`.
        of: the output, or layer; empty for the whole model.
        old, new: its values; None where a report does not have it.
        unit: of the values.
        worse: whether it is worse by more than the tolerance, or missing in the new report.
    """

    figure: str
    of: str
    old: float | None
    new: float | None
    unit: str
    worse: bool

    @property
    def change(self) -> float | None:
        """New - old."""
        return None if self.old is None or self.new is None else self.new - self.old

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), "change": self.change}


@dataclass(frozen=True)
class Diff:
    """Two reports.

    Attributes:
        old, new: their files.
        changes: every figure of either.
        layers: packets of the ONNX nodes that changed, largest change first.
    """

    old: str
    new: str
    changes: tuple[Change, ...]
    layers: tuple[Change, ...]

    @property
    def worse(self) -> tuple[Change, ...]:
        """The figures that are worse."""
        return tuple(item for item in self.changes if item.worse)

    def as_dict(self) -> dict[str, Any]:
        """The section `diff` of a report: plain data, for JSON."""
        return {
            "old": self.old,
            "new": self.new,
            "worse": bool(self.worse),
            "changes": [item.as_dict() for item in self.changes],
            "layers": [item.as_dict() for item in self.layers],
        }


@checks_types()
def read_report(path: str | Path) -> dict[str, Any]:
    """A document of the schema from a file.

    Raises:
        FileError: it cannot be read, is no JSON, or no document of this schema.
    """
    try:
        found = parse_json(read_bytes(Path(path), "report"))
    except ValueError as error:
        raise FileError("the report is not JSON", where=str(path), why=str(error)) from None
    return check_document(found, str(path))


@checks_types(names=TWO_NAMES)
def compare_reports(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    allowed: Mapping[str, float] | None = None,
    *,
    relative: Mapping[str, float] | None = None,
    names: tuple[str, str] = ("old", "new"),
) -> Diff:
    """Compare two documents by the sections that both have.

    A figure that the new report lacks is worse, unless the reports are of different kinds.

    Args:
        old: of kind convert, check, verify or cost.
        new: the same, or another of these.
        allowed: how much worse a figure may be, in its unit.
        relative: the same, as a share of the old value.
        names: of the files.

    Raises:
        ConfigError: they have no figure, or no output, in common.
    """
    _same_model(old, new, names)
    mine, theirs = _figures(old), _figures(new)
    keys = [key for key in mine if key in theirs or old["kind"] == new["kind"]]
    if not any(key in theirs for key in mine):
        raise ConfigError(
            "the two reports have no figure in common",
            where=f"{names[0]} ({old['kind']}) and {names[1]} ({new['kind']})",
            hint="compare two NAME.report.json, or two outputs of the same command with --json",
        )
    slack = {**TOLERANCE, **(allowed or {})}
    changes = [
        _change(key, mine.get(key), theirs.get(key), slack, relative or {})
        for key in dict.fromkeys((*keys, *(key for key in theirs if key not in mine)))
    ]
    return Diff(*names, tuple(changes), tuple(_layers(old, new)))


def _same_model(old: Mapping[str, Any], new: Mapping[str, Any], names: tuple[str, str]) -> None:
    """Raise for reports of models without an output in common: all figures would be missing."""
    mine, theirs = ([row["name"] for row in accuracy_rows(item, "outputs")] for item in (old, new))
    if mine and theirs and not set(mine) & set(theirs):
        raise ConfigError(
            "the two reports are of different models",
            where=f"{names[0]} and {names[1]}",
            why=f"the outputs of one are {listed(mine)}, those of the other {listed(theirs)}",
        )


def _change(
    key: tuple[str, str],
    old: float | None,
    new: float | None,
    allowed: Mapping[str, float],
    relative: Mapping[str, float],
) -> Change:
    figure, of = key
    worse = old is not None and new is None
    if old is not None and new is not None:
        loss = old - new if figure in MORE_IS_BETTER else new - old
        slack = abs(old) * relative[figure] if figure in relative else allowed.get(figure, 0.0)
        worse = loss > slack and figure not in EITHER_WAY
    return Change(figure, of, old, new, UNITS[figure], worse)


def _figures(report: Mapping[str, Any]) -> Figures:
    return {
        key: value
        for section in (_accuracy, _cost, _coverage)
        for key, value in section(report)
        if value is not None
    }


def _accuracy(report: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], float | None]]:
    for row in accuracy_rows(report, "outputs"):
        for key, label in SETS.items():
            for figure in ("sqnr", "cosine", "close", "top1"):
                metrics = row[key]
                if metrics is not None:
                    yield (figure, f"{row['name']} ({label})"), metrics[figure]
    for row in accuracy_rows(report, "metrics"):
        for key in ("calibration", "held_out"):
            pair = row[key]
            if pair is not None:
                of = f"{row['name']} ({SETS[key]})"
                yield ("metric", of), pair["quantized"]
                yield ("metric_error", of), abs(pair["quantized"] - pair["float_model"])


def _cost(report: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], float | None]]:
    cost = report.get("cost")
    if cost is None:
        return
    yield ("packets", ""), cost["packets"]
    yield ("milliseconds", ""), cost["milliseconds_high"]
    yield ("nodes", ""), len(cost["nodes"])
    for figure in ("prepare", "execute", "weights"):
        yield (figure, ""), cost["memory"][figure]


def _coverage(report: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], float | None]]:
    coverage = report.get("coverage")
    if coverage is None:
        return
    yield ("node_share", ""), coverage["node_share"]
    yield ("mac_share", ""), coverage["mac_share"]
    if "nodes" in coverage:
        yield ("unsupported", ""), sum(bool(node["reason"]) for node in coverage["nodes"])


def _layers(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    mine, theirs = ((report.get("cost") or {}).get("by_layer", {}) for report in (old, new))
    if not mine or not theirs:
        return []
    found = []
    for name in dict.fromkeys((*mine, *theirs)):
        before, after = (side[name]["packets"] if name in side else None for side in (mine, theirs))
        if before != after:
            worse = (after or 0.0) > (before or 0.0)
            found.append(Change("packets", name, before, after, "packets", worse))
    return sorted(found, key=lambda item: -abs((item.new or 0.0) - (item.old or 0.0)))
