"""What `hexconv cost` prints: tables, CSV, JSON."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from hexconv.cli._json import emit
from hexconv.cli._terminal import table
from hexconv.cost import Cost, NodeCost
from hexconv.cost import soc as socs
from hexconv.cost.phones import PhoneProfile, stored_names, stored_profile
from hexconv.cost.soc import Time

Rows = tuple[list[str], list[list[Any]]]
MIB = 1 << 20
NO_NNLIB = (
    "Chips from the Snapdragon 888 on (Hexagon v68 and later) do not run nnlib and no such model:"
    " `convert --to qdq` writes an int8 ONNX model for ONNX Runtime's QNN execution provider."
)


def page(cost: Cost, soc: str, by: str, top: int) -> None:
    """One screenful: the most expensive rows, sums, time and memory."""
    heads, rows = _rows(cost, by, soc)
    if by == "node":
        rows = sorted(([*row[:4], *row[6:10]] for row in rows), key=lambda row: -_number(row[3]))
        heads = heads[:4] + heads[6:10]
    table(heads, rows[:top])
    if len(rows) > top:
        click.echo(f"... and {len(rows) - top} more rows (--top)")
    low, high = cost.range
    click.echo(
        f"{len(cost.nodes)} nodes after prepare on {cost.library}, {cost.packets:,.0f} packets "
        f"(low estimate {low:,.0f}, high {high:,.0f}), {cost.moved:,} bytes moved"
    )
    click.echo(f"{_phone(soc)}: {span(cost.time(soc))} ms, {socs.meaning(soc)}")
    memory = cost.memory
    click.echo(
        f"memory: {memory.prepare / MIB:.1f} MiB of heap to prepare, {memory.execute / MIB:.1f} to "
        f"execute, of these {memory.weights / MIB:.1f} constants; VTCM {memory.vtcm >> 10} KiB"
    )


def span(time: Time) -> str:
    """A range of milliseconds in words."""
    digits = 1 if time.high >= 1 else 3
    return f"{time.low:.{digits}f} to {time.high:.{digits}f}"


def _phone(key: str) -> str:
    if stored_profile(key) is not None:
        return key
    known = socs.soc(key)
    return f"{known.name} ({known.dsp}, {known.clock_mhz} MHz, {known.hvx_contexts} vector units)"


def _number(cell: int | str) -> int:
    return cell if isinstance(cell, int) else 0


def _rows(cost: Cost, by: str, soc: str) -> Rows:
    """Heads and all rows of the requested table."""
    if by == "node":
        return _node_rows(cost, soc)
    key: Callable[[NodeCost], str] = (
        (lambda node: node.op) if by == "type" else (lambda node: node.onnx_node or node.name)
    )
    spent: dict[str, list[Time]] = {}
    for node in cost.nodes:
        spent.setdefault(key(node), []).append(cost.node_time(node, soc))
    whole = cost.packets or 1.0
    rows = []
    for name, row in (cost.by_type if by == "type" else cost.by_layer).items():
        time = socs.total(spent[name])
        share = round(100 * row.packets / whole, 2)
        ends = round(time.low, 4), round(time.high, 4)
        rows.append([name, row.count, round(row.packets), share, row.moved, *ends])
    return [by, "nodes", "packets", "share %", "bytes", "ms low", "ms high"], rows


def _node_rows(cost: Cost, soc: str) -> Rows:
    whole = cost.packets or 1.0
    heads = ["node", "op", "layer", "packets", "low", "high", "share %", "bytes"]
    rows = []
    for node in cost.nodes:
        time = cost.node_time(node, soc)
        rows.append(
            [
                node.name or str(node.id),
                node.op,
                node.onnx_node,
                "unknown" if node.packets is None else round(node.packets),
                round(node.low),
                round(node.high),
                round(100 * (node.packets or 0) / whole, 2),
                node.moved,
                round(time.low, 4),
                round(time.high, 4),
                node.basis,
            ]
        )
    return [*heads, "ms low", "ms high", "basis"], rows


def beside(cost: Cost, other: Cost, by: str, top: int, one: str, two: str) -> None:
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


def mace(cost: Cost, soc: str) -> str:
    """MACE's own two tables, with the upper end of each node's time."""
    from hexconv.cost.mace_tables import mace_id, tables
    from hexconv.nnlib.ops import catalogue

    known = catalogue()
    return tables(
        [
            (
                mace_id(node.id),
                node.op,
                known[node.op].id if node.op in known else -1,
                cost.node_time(node, soc).high,
            )
            for node in cost.nodes
        ]
    )


def csv_rows(cost: Cost, by: str, soc: str) -> None:
    """Every row."""
    heads, rows = _rows(cost, by, soc)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(head.replace(" ", "_").replace("%", "percent") for head in heads)
    writer.writerows(rows)


def calibrated(profile: PhoneProfile, quiet: bool) -> None:
    """The terms fitted to a phone's log."""
    if quiet:
        return
    terms = profile.terms
    click.echo(
        f"{profile.name} ({profile.library}): {terms.node_us:g} us a node, {terms.streamed_ns:g} ns"
        f" a byte streamed, {terms.reordered_ns:g} reordered, {terms.packet_ns:g} ns a packet"
    )
    click.echo(
        f"{profile.source}: {profile.logged_ms:g} ms measured, {profile.predicted_ms:g} ms fitted; "
        f"80 % of the types are within a factor of {profile.factor:.2f}. "
        f"Use it with --soc {profile.name}."
    )


def list_socs(as_json: bool) -> None:
    """The SoCs that are known, and the phones that were calibrated."""
    known = [socs.soc(key) for key in socs.names()]
    phones = [profile for name in stored_names() if (profile := stored_profile(name))]
    if as_json:
        found = {"socs": [asdict(item) for item in known], "phones": [asdict(p) for p in phones]}
        emit("socs", found)
        return
    heads = ["--soc", "SoC", "DSP", "library", "MHz (estimate)", "unsigned domain"]
    table(
        heads,
        [(s.key, s.name, s.dsp, s.library, f"{s.clock_mhz}", s.unsigned) for s in known],
    )
    for phone in phones:
        click.echo(f"{phone.name}: a phone that loads {phone.library}, from {phone.source}")
    click.echo(NO_NNLIB)
