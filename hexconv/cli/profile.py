"""`hexconv profile`: read a phone's profile log, compare it, and give advice."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._json import emit
from hexconv.cli._options import table_options
from hexconv.cli._output import OutputFile
from hexconv.cli._terminal import say, table
from hexconv.cli.cost import SOC_HELP
from hexconv.names import counted
from hexconv.translation import language

if TYPE_CHECKING:
    from hexconv.cost import Cost
    from hexconv.cost.advice import Advice
    from hexconv.cost.align import Pair
    from hexconv.cost.logs import Log, TypeSum


@click.command()
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="MODEL.pb",
    help="Compare the log with the prediction for this model.",
)
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    metavar="BEFORE.log",
    help="Compare with an earlier log, row by row.",
)
@click.option(
    "--soc",
    default="sd855",
    show_default=True,
    help=f"The phone, for --against: {SOC_HELP}",
)
@table_options
@click.option("--chart", type=OutputFile(), help="Write a bar chart: .svg or .png.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all rows as CSV.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the sum.")
def command(
    log: Path,
    against: Path | None,
    compare: Path | None,
    soc: str,
    by: str,
    top: int,
    chart: Path | None,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
) -> None:
    """Read a profile LOG: MACE's benchmark output among any other lines, or nnlib's counters as CSV
    (node,id,name,op,executions,cycles).

    Prints sums by node type, by ONNX layer (with --against, or where the log has names) or by node,
    and advice for the most expensive types.
    """
    from hexconv.cost.advice import advise
    from hexconv.cost.logs import read_log

    if against is not None and compare is not None:
        raise click.UsageError("give either --against or --compare")
    read = read_log(log)
    before = read_log(compare) if compare else None
    if before is not None and before.unit != read.unit:
        raise click.UsageError(f"{compare} counts {before.unit}, {log} counts {read.unit}")
    if against is not None and read.unit != "ms":
        raise click.UsageError("--against predicts milliseconds, this log counts cycles")
    cost = _predicted(against, soc) if against else None
    for note in read.notes:
        say(f"note: {log}: {note}", err=True)
    for note in before.notes if before else ():
        say(f"note: {compare}: {note}", err=True)
    if cost is not None and read.nodes:
        _warn_if_unlike(cost, soc, read, log)
    heads, rows = _rows(read, before, cost, soc, by)
    advice = advise((op, row.value) for op, row in read.by_type.items())
    if chart is not None:
        from hexconv.cli._bars import bars

        bars(chart, [(op, row.value) for op, row in read.by_type.items()], read.unit, log.name)
    if as_json:
        predicted = {} if cost is None else _beside(read, cost, soc)
        emit("profile", {"profile": _machine(read, heads, rows, advice) | predicted})
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(head.replace(" ", "_").replace("%", "percent") for head in heads)
        writer.writerows(rows)
    elif quiet:
        click.echo(f"{read.total:.3f} {read.unit}")
    else:
        _page(read, before, heads, rows, top, advice)


def _predicted(path: Path, soc: str) -> Cost:
    from hexconv.cost import predict
    from hexconv.cost.soc import library_of
    from hexconv.model import load

    return predict(load(path), library_of(soc))


def _warn_if_unlike(cost: Cost, soc: str, read: Log, log: Path) -> None:
    from hexconv.cost.align import pair_prediction, unlike

    if told := unlike(pair_prediction(cost, soc, read)):
        say(f"note: {log}: {told}", err=True)


def _rows(
    log: Log, before: Log | None, cost: Cost | None, soc: str, by: str
) -> tuple[list[str], list[list[Any]]]:
    """Heads and rows of the requested table."""
    from hexconv.cost.align import pair_logs, pair_prediction

    if by != "type" and not (log.nodes and (before is None or before.nodes)):
        raise click.UsageError(f"--by {by} needs one row per node; the log has only sums by type")
    if by == "type":
        return _type_rows(log, before, cost, soc)
    pairs = (
        pair_logs(before, log)
        if before
        else pair_prediction(cost, soc, log)
        if cost
        else pair_logs(log, log)
    )
    named = any(pair.name for pair in pairs)
    if by == "layer" and not named:
        raise click.UsageError("the log has no layer names: give the model with --against MODEL.pb")
    if by == "layer":
        return _layer_rows(pairs, log.unit, _first(before, cost))
    return _node_rows(pairs, log.unit, _first(before, cost))


def _first(before: Log | None, cost: Cost | None) -> str:
    """The heading of the left-hand column, if there is one."""
    return "before" if before else "predicted" if cost else ""


def _type_rows(
    log: Log, before: Log | None, cost: Cost | None, soc: str
) -> tuple[list[str], list[list[Any]]]:
    whole, sums = log.total or 1.0, log.by_type
    other = before.by_type if before else _prediction(cost, soc) if cost else None
    if other is None:
        heads = ["type", "nodes", log.unit, "share %"]
        return heads, [
            [op, row.count, round(row.value, 3), round(100 * row.value / whole, 1)]
            for op, row in sums.items()
        ]
    names = [*sums, *(op for op in other if op not in sums)]
    first = _first(before, cost)
    heads = ["type", f"nodes {first}", "nodes", f"{first} {log.unit}", log.unit, "change"]
    rows = []
    for op in names:
        old, new = other.get(op), sums.get(op)
        was, now = (old.value if old else 0.0), (new.value if new else 0.0)
        counts = [old.count if old else 0, new.count if new else 0]
        rows.append([op, *counts, round(was, 3), round(now, 3), round(now - was, 3)])
    return heads, rows


def _prediction(cost: Cost, soc: str) -> dict[str, TypeSum]:
    """A prediction's sums by type, in milliseconds."""
    from hexconv.cost.logs import TypeSum

    sums: dict[str, TypeSum] = {}
    for node in cost.nodes:
        old = sums.get(node.op, TypeSum(0, 0.0))
        time = cost.node_time(node, soc).milliseconds
        sums[node.op] = TypeSum(old.count + 1, old.value + time)
    return sums


def _layer_rows(pairs: list[Pair], unit: str, first: str) -> tuple[list[str], list[list[Any]]]:
    sums: dict[str, list[Any]] = {}
    for pair in pairs:
        row = sums.setdefault(pair.name, [pair.name, 0, 0.0, 0.0])
        row[1] += pair.after is not None
        row[2] += pair.before or 0.0
        row[3] += pair.after or 0.0
    rows = sorted(sums.values(), key=lambda row: -row[3])
    if not first:
        return ["layer", "nodes", unit], [[r[0], r[1], round(r[3], 3)] for r in rows]
    return ["layer", "nodes", f"{first} {unit}", unit, "change"], [
        [r[0], r[1], round(r[2], 3), round(r[3], 3), round(r[3] - r[2], 3)] for r in rows
    ]


def _node_rows(pairs: list[Pair], unit: str, first: str) -> tuple[list[str], list[list[Any]]]:
    if not first:
        return ["op", "name", unit], [[p.op, p.name, round(p.after or 0.0, 3)] for p in pairs]
    return ["op", "name", f"{first} {unit}", unit, "change"], [
        [
            pair.op,
            pair.name,
            "-" if pair.before is None else round(pair.before, 3),
            "-" if pair.after is None else round(pair.after, 3),
            round(pair.change, 3),
        ]
        for pair in pairs
    ]


def _page(
    log: Log,
    before: Log | None,
    heads: list[str],
    rows: list[list[Any]],
    top: int,
    advice: list[Advice],
) -> None:
    table(heads, [_shown(heads, row) for row in rows[:top]])
    if len(rows) > top:
        say(f"... and {counted(len(rows) - top, 'more row')} (--top)")
    count = sum(row.count for row in log.by_type.values())
    line = f"{counted(count, 'node')}, {log.total:,.3f} {log.unit} each run"
    if before is not None and before.total:
        line += f"; before {before.total:,.3f} (ratio {log.total / before.total:.3f})"
    say(line)
    for item in advice:
        say(f"{item.op} is {item.share:.0%}: {item.text(language())}")
        if item.rewrites:
            say(f"  rewrites: {', '.join(item.rewrites)}")


def _shown(heads: list[str], row: list[Any]) -> list[Any]:
    """A row whose times have three decimals, whose shares have one."""
    return [
        f"{cell:.{1 if head == 'share %' else 3}f}" if isinstance(cell, float) else cell
        for head, cell in zip(heads, row, strict=True)
    ]


def _beside(log: Log, cost: Cost, soc: str) -> dict[str, Any]:
    """The prediction of the model and of each row, with the ONNX node that it belongs to."""
    from hexconv.cost.align import node_dicts, pair_prediction

    found: dict[str, Any] = {"predicted": cost.milliseconds(soc)}
    return found | ({"nodes": node_dicts(pair_prediction(cost, soc, log))} if log.nodes else {})


def _machine(
    log: Log, heads: list[str], rows: list[list[Any]], advice: list[Advice]
) -> dict[str, Any]:
    keys = [head.replace(" ", "_").replace("%", "percent") for head in heads]
    return {
        "unit": log.unit,
        "total": round(log.total, 6),
        "by_type": {op: vars(row) for op, row in log.by_type.items()},
        "rows": [dict(zip(keys, row, strict=True)) for row in rows],
        "nodes": [vars(node) for node in log.nodes],
        "notes": list(log.notes),
        "advice": [vars(item) for item in advice],
    }
