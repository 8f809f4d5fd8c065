"""What `hexconv cost` prints: tables, CSV, JSON."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from hexconv.cli._json import emit
from hexconv.cli._terminal import say, table
from hexconv.cost import Cost, NodeCost
from hexconv.cost import soc as socs
from hexconv.cost.phones import PhoneProfile, stored_names, stored_profile
from hexconv.cost.soc import Time
from hexconv.errors import FileError
from hexconv.names import counted
from hexconv.translation import translated

Rows = tuple[list[str], list[list[Any]]]
MIB = 1 << 20
FIGURES = ["share %", "MACs", "MACs/packet", "bytes", "ms low", "ms high"]
SUM_COLUMNS = ["nodes", "packets", *FIGURES]
NODE_COLUMNS = ["node", "op", "layer", "packets", "low", "high", *FIGURES, "basis"]
CSV_ALONE = ("low", "high", "ms low", "ms high", "basis")
"""Columns that a table does not have; its times are ranges."""

NO_NNLIB = (
    "Chips from the Snapdragon 888 on (Hexagon v68 and later) do not run nnlib and no such model:"
    " `convert --to qdq` writes an int8 ONNX model for ONNX Runtime's QNN execution provider."
)


def page(cost: Cost, soc: str, by: str, top: int) -> None:
    """One screenful: the most expensive rows, sums, time and memory."""
    heads, rows = _rows(cost, by, soc)
    places = [place for place, head in enumerate(heads) if head not in CSV_ALONE]
    first, last = heads.index("ms low"), heads.index("ms high")
    cells = [
        [*(row[place] for place in places), f"{row[first]:.3f} to {row[last]:.3f}"]
        for row in rows[:top]
    ]
    table(
        [*(heads[place] for place in places), "ms"], cells, drop=("node", "bytes", "share %", "ms")
    )
    _rest(len(rows) - top)
    low, high = cost.range
    say(
        f"{counted(len(cost.nodes), 'node')} after prepare on {cost.library}, "
        f"{cost.packets:,.0f} packets (low estimate {low:,.0f}, high {high:,.0f}), "
        f"{cost.macs:,} multiply-accumulates, {cost.moved:,} bytes moved"
    )
    say(f"{_phone(soc)}: {span(cost.time(soc))} ms, {socs.meaning(soc)}")
    memory = cost.memory
    say(
        f"memory: {memory.prepare / MIB:.1f} MiB of heap to prepare, {memory.execute / MIB:.1f} to "
        f"execute, of these {memory.weights / MIB:.1f} constants; VTCM {memory.vtcm >> 10} KiB"
    )


def _rest(count: int) -> None:
    if count > 0:
        say(f"... and {counted(count, 'more row')} (--top)")


def span(time: Time) -> str:
    """A range of milliseconds in words."""
    digits = 1 if time.high >= 1 else 3
    return f"{time.low:.{digits}f} to {time.high:.{digits}f}"


def _phone(key: str) -> str:
    if stored_profile(key) is not None:
        return key
    known = socs.soc(key)
    return f"{known.name} ({known.dsp}, {known.clock_mhz} MHz, {known.hvx_contexts} vector units)"


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
        share = f"{100 * row.packets / whole:.2f}"
        ends = round(time.low, 4), round(time.high, 4)
        figures = [round(row.packets), share, row.macs, _each(row.macs, row.packets), row.moved]
        rows.append([name, row.count, *figures, *ends])
    return [by, *SUM_COLUMNS], rows


def _node_rows(cost: Cost, soc: str) -> Rows:
    whole = cost.packets or 1.0
    rows = []
    for node in sorted(cost.nodes, key=lambda node: -(node.packets or 0.0)):
        time = cost.node_time(node, soc)
        rows.append(
            [
                node.name or str(node.id),
                node.op,
                node.onnx_node,
                "unknown" if node.packets is None else round(node.packets),
                round(node.low),
                round(node.high),
                f"{100 * (node.packets or 0) / whole:.2f}",
                node.macs,
                _each(node.macs, node.packets),
                node.moved,
                round(time.low, 4),
                round(time.high, 4),
                node.basis,
            ]
        )
    return NODE_COLUMNS, rows


def _each(macs: int, packets: float | None) -> float:
    """Multiply-accumulates in each packet."""
    return round(macs / packets, 1) if packets else 0.0


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
    heads = [by, "nodes", "packets", "other\nnodes", "other\npackets", "difference"]
    table(heads, rows[:top])
    _rest(len(rows) - top)
    ratio = other.packets / cost.packets if cost.packets else float("nan")
    say(
        f"{one}: {counted(len(cost.nodes), 'node')}, {cost.packets:,.0f} packets; "
        f"{two}: {counted(len(other.nodes), 'node')}, {other.packets:,.0f} packets "
        f"(ratio {ratio:.3f})"
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
    say(
        f"{profile.name} ({profile.library}): {terms.node_us:g} us a node, {terms.streamed_ns:g} ns"
        f" a byte streamed, {terms.reordered_ns:g} reordered, {terms.packet_ns:g} ns a packet"
    )
    say(
        f"{profile.source}: {profile.logged_ms:g} ms measured, {profile.predicted_ms:g} ms fitted; "
        f"80 % of the types are within a factor of {profile.factor:.2f}. "
        f"Use it with --soc {profile.name}."
    )


def list_socs(as_json: bool) -> None:
    """The SoCs that are known, and the phones that were calibrated."""
    known = [socs.soc(key) for key in socs.names()]
    phones, damaged = _phones()
    for error in damaged:
        say(str(error), err=True)
    if as_json:
        found = {"socs": [asdict(item) for item in known], "phones": [asdict(p) for p in phones]}
        emit("socs", found)
        return
    heads = ["--soc", "SoC", "DSP", "library", "MHz (estimate)", "unsigned domain"]
    table(
        heads,
        [
            (s.key, s.name, s.dsp, s.library, f"{s.clock_mhz}", translated(str(s.unsigned)))
            for s in known
        ],
    )
    for phone in phones:
        say(f"{phone.name}: a phone that loads {phone.library}, from {phone.source}")
    say(NO_NNLIB)


def _phones() -> tuple[list[PhoneProfile], list[FileError]]:
    """The phones that were calibrated, and what is wrong with the files of others."""
    phones: list[PhoneProfile] = []
    damaged: list[FileError] = []
    for name in stored_names():
        try:
            phones += filter(None, [stored_profile(name)])
        except FileError as error:
            damaged.append(error)
    return phones, damaged
