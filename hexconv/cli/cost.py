"""`hexconv cost`: predict what a model costs on the DSP."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._options import shape_option, table_options
from hexconv.cli._terminal import table
from hexconv.settings import OptimizeLevel

if TYPE_CHECKING:
    from hexconv.cost import Cost, NodeCost

LIBRARIES = ("v60", "open")
SOCS = ("sd835", "sd845", "sd855")


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@shape_option
@click.option(
    "--optimize",
    type=click.Choice(["none", "default", "all"]),
    default="default",
    help="Of an .onnx model: how to convert it.",
    show_default=True,
)
@click.option("--soc", type=click.Choice(SOCS), default="sd855", show_default=True)
@table_options
@click.option(
    "--library",
    type=click.Choice(LIBRARIES),
    default="v60",
    show_default=True,
    help="v60: as shipped with MACE; open: nnlib's source with one thread.",
)
@click.option("--mace-tables", is_flag=True, help="Print MACE's own two tables.")
@click.option("--compare", type=click.Path(path_type=Path), help="Another model to compare with.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all rows as CSV.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the packets.")
def command(
    model: Path,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    optimize: OptimizeLevel,
    soc: str,
    by: str,
    library: str,
    top: int,
    mace_tables: bool,
    compare: Path | None,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
) -> None:
    """Predict what MODEL (.pb or .onnx) costs: the nodes after prepare, and the packets,
    bytes and time of each.

    Packets are those that the emulated library retires (`hexconv device profile`); milliseconds
    are estimated from one published profile. A node of unknown cost is listed.
    """
    cost = _cost(model, dict(shapes), optimize, library)
    other = _cost(compare, dict(shapes), optimize, library) if compare else None
    if as_json:
        found = _machine(cost, soc)
        if other is not None:
            found["compare"] = _machine(other, soc)
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
    elif as_csv:
        _csv(cost, by, soc)
    elif mace_tables:
        click.echo(_mace(cost, soc))
    elif quiet:
        click.echo(f"{cost.packets:.0f}")
    elif other is not None:
        _beside(cost, other, by, top, model.name, compare.name if compare else "")
    else:
        _page(cost, soc, by, top)
    for node in cost.unknown:
        click.echo(f"not counted: {node.name or node.id} ({node.op}): {node.basis}", err=True)


def _cost(
    path: Path, shapes: dict[str, tuple[int, ...]], optimize: OptimizeLevel, library: str
) -> Cost:
    """Predict for a file; ranges do not change the cost, so an .onnx model gets synthetic ones."""
    from hexconv.cost import predict

    if path.suffix.lower() == ".onnx":
        from hexconv.conversion import convert

        return predict(convert(path, shapes, optimize=optimize), library)
    from hexconv.model import load

    return predict(load(path), library)


def _rows(cost: Cost, by: str, soc: str) -> tuple[list[str], list[list[Any]]]:
    """Heads and all rows of the requested table."""
    whole = cost.packets or 1.0
    if by == "node":
        heads = ["node", "op", "layer", "packets", "low", "high", "share %", "bytes", "ms", "basis"]
        return heads, [
            [
                node.name or str(node.id),
                node.op,
                node.onnx_node,
                _packets(node),
                round(node.low),
                round(node.high),
                round(100 * (node.packets or 0) / whole, 2),
                node.moved,
                round(cost.node_time(node, soc).milliseconds, 4),
                node.basis,
            ]
            for node in cost.nodes
        ]
    sums = cost.by_type if by == "type" else cost.by_layer
    spent: dict[str, float] = {}
    for node in cost.nodes:
        key = node.op if by == "type" else node.onnx_node or node.name
        spent[key] = spent.get(key, 0.0) + cost.node_time(node, soc).milliseconds
    return [by, "nodes", "packets", "share %", "bytes", "ms"], [
        [
            name,
            row.count,
            round(row.packets),
            round(100 * row.packets / whole, 2),
            row.moved,
            round(spent[name], 4),
        ]
        for name, row in sums.items()
    ]


def _packets(node: NodeCost) -> int | str:
    return "unknown" if node.packets is None else round(node.packets)


def _page(cost: Cost, soc: str, by: str, top: int) -> None:
    from hexconv.cost.soc import soc as soc_of

    heads, rows = _rows(cost, by, soc)
    if by == "node":
        rows = [row[:4] + row[6:9] for row in rows]
        heads = heads[:4] + heads[6:9]
    table(heads, rows[:top])
    if len(rows) > top:
        click.echo(f"... and {len(rows) - top} more rows (--top)")
    low, high = cost.range
    time, phone = cost.time(soc), soc_of(soc)
    click.echo(
        f"{len(cost.nodes)} nodes after prepare, {cost.packets:,.0f} packets "
        f"(low estimate {low:,.0f}, high {high:,.0f}), {cost.moved:,} bytes moved"
    )
    click.echo(
        f"{phone.name} ({phone.dsp}, {phone.clock_mhz} MHz, {phone.hvx_contexts} vector units): "
        f"about {time.milliseconds:.1f} ms, between {time.low:.1f} and {time.high:.1f}"
    )


def _beside(cost: Cost, other: Cost, by: str, top: int, one: str, two: str) -> None:
    """Two models' sums in one table, largest differences first."""
    if by == "node":
        raise click.UsageError("--compare needs --by type or --by layer")
    mine, theirs = (c.by_type if by == "type" else c.by_layer for c in (cost, other))
    names = [*mine, *(name for name in theirs if name not in mine)]
    rows: list[tuple[str, int, int, int, int, int]] = []
    for name in names:
        (count, packets), (there, packets_there) = _sum(mine.get(name)), _sum(theirs.get(name))
        rows.append((name, count, packets, there, packets_there, packets_there - packets))
    rows.sort(key=lambda row: -abs(row[-1]))
    table([by, "nodes", "packets", "other nodes", "other packets", "difference"], rows[:top])
    ratio = other.packets / cost.packets if cost.packets else float("nan")
    click.echo(
        f"{one}: {len(cost.nodes)} nodes, {cost.packets:,.0f} packets; {two}: {len(other.nodes)} "
        f"nodes, {other.packets:,.0f} packets (ratio {ratio:.3f})"
    )


def _sum(row: Any) -> tuple[int, int]:
    return (0, 0) if row is None else (row.count, round(row.packets))


def _mace(cost: Cost, soc: str) -> str:
    from hexconv.cost.mace_tables import mace_id, tables
    from hexconv.nnlib.ops import catalogue

    known = catalogue()
    return tables(
        [
            (
                mace_id(node.id),
                node.op,
                known[node.op].id if node.op in known else -1,
                cost.node_time(node, soc).milliseconds,
            )
            for node in cost.nodes
        ]
    )


def _csv(cost: Cost, by: str, soc: str) -> None:
    heads, rows = _rows(cost, by, soc)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(head.replace(" ", "_").replace("%", "percent") for head in heads)
    writer.writerows(rows)


def _machine(cost: Cost, soc: str) -> dict[str, Any]:
    time = cost.time(soc)
    return {
        "packets": round(cost.packets),
        "packets_low": round(cost.range[0]),
        "packets_high": round(cost.range[1]),
        "bytes": cost.moved,
        "library": cost.library,
        "soc": soc,
        "milliseconds": round(time.milliseconds, 4),
        "milliseconds_low": round(time.low, 4),
        "milliseconds_high": round(time.high, 4),
        "unknown": [node.name or str(node.id) for node in cost.unknown],
        "by_type": {name: vars(row) for name, row in cost.by_type.items()},
        "by_layer": {name: vars(row) for name, row in cost.by_layer.items()},
        "nodes": [
            {**vars(node), "milliseconds": round(cost.node_time(node, soc).milliseconds, 5)}
            for node in cost.nodes
        ],
    }
