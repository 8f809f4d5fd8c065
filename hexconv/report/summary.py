"""A document of the schema as Markdown: what GitHub shows as the summary of a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hexconv.argument_types import checks_types
from hexconv.report.document import accuracy_rows, in_units, warnings_of

MOST = 20
"""Rows of a table."""
SETS = {"calibration": "calibration", "held_out": "held-out", "random": "random inputs"}


@checks_types()
def markdown(report: Mapping[str, Any]) -> str:
    """The summary, with a line break at its end.

    Args:
        report: a document of the schema.
    """
    title = report.get("name") or report.get("source") or ""
    lines = [f"### hexconv {report['kind']} {_safe(str(title))}".rstrip(), ""]
    for part in (_error, _thresholds, _accuracy, _cost, _coverage, _diff, _warnings):
        lines += part(report)
    return "\n".join(lines).rstrip() + "\n\n"


def _error(report: Mapping[str, Any]) -> Iterator[str]:
    error = report.get("error")
    if error is None:
        return
    yield f"❌ {_safe(error['what'])}"
    for key in ("where", "why", "hint"):
        if error[key]:
            yield f"- {key}: {_safe(error[key])}"
    rows = [
        (row["onnx_node"], row["onnx_op"], row["what"], row["hint"]) for row in error["unsupported"]
    ]
    yield from _table(("node", "op", "unsupported", "hint"), rows)


def _thresholds(report: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (
            "✅" if row["ok"] else "❌",
            f"{row['figure']} {row['of']}".strip(),
            *(in_units(row["figure"], row[key]) for key in ("value", "limit")),
        )
        for row in report.get("thresholds", ())
    ]
    yield from _table(("", "figure", "value", "limit"), rows)


def _accuracy(report: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for row in accuracy_rows(report, "outputs"):
        for key, label in SETS.items():
            found = row[key]
            if found is not None:
                top1 = "" if found["top1"] is None else f"{found['top1']:.1%}"
                figures = (found["sqnr"], found["cosine"], found["max_error"], top1)
                rows.append((row["name"], label, found["samples"], *figures))
    yield from _table(("output", "on", "samples", "SQNR dB", "cosine", "max error", "top-1"), rows)


def _cost(report: Mapping[str, Any]) -> Iterator[str]:
    cost = report.get("cost")
    if cost is None:
        return
    span = f"{cost['milliseconds_low']:.3g} to {cost['milliseconds_high']:.3g}"
    memory = f"{max(cost['memory']['prepare'], cost['memory']['execute']) / 2**20:.1f} MiB"
    row = (f"{cost['packets']:,}", span, len(cost["nodes"]), memory)
    yield from _table(("packets", f"ms on {cost['soc']}", "nodes", "heap"), [row])


def _coverage(report: Mapping[str, Any]) -> Iterator[str]:
    coverage = report.get("coverage")
    if coverage is None:
        return
    yield (
        f"{'✅' if coverage['ok'] else '❌'} {coverage['node_share']:.1%} of the nodes and "
        f"{coverage['mac_share']:.1%} of the multiply-accumulates run in int8"
    )
    yield ""
    rows = [
        (node["onnx_node"], node["onnx_op"], node["reason"], node["hint"])
        for node in coverage.get("nodes", ())
        if node["reason"]
    ]
    yield from _table(("node", "op", "unsupported", "hint"), rows)


def _diff(report: Mapping[str, Any]) -> Iterator[str]:
    found = report.get("diff")
    if found is None:
        return
    verdict = "❌ worse" if found["worse"] else "✅ not worse"
    yield f"{verdict}: {_safe(found['old'])} to {_safe(found['new'])}"
    keys = ("figure", "of", "old", "new", "change")
    rows = [
        ["❌" if row["worse"] else "", *(row[key] for key in keys)]
        for row in (*found["changes"], *found["layers"])
        if row["old"] != row["new"]
    ]
    yield from _table(("", *keys), rows)


def _warnings(report: Mapping[str, Any]) -> Iterator[str]:
    for text in warnings_of(report):
        yield f"- ⚠️ {_safe(text)}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows[:MOST]:
        yield f"| {' | '.join(_cell(cell) for cell in row)} |"
    if len(rows) > MOST:
        yield ""
        yield f"and {len(rows) - MOST} more"
    yield ""


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else _safe(str(value))


def _safe(text: str) -> str:
    """Text as text: names of a model are neither HTML nor Markdown."""
    text = " ".join(text.split())
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, name)
    return "".join(f"\\{c}" if c in "\\`*_|[]#~" else c for c in text)
