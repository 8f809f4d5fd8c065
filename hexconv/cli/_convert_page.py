"""The output of `hexconv convert`: a one-screen summary for people, JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv.compare.accuracy import Accuracy, describe
from hexconv.nnlib.versions import LibraryVersion

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hexconv.model import InFloat, Model, Parts, RefineStep
    from hexconv.nnlib.graph import Interface

MOST_ROWS = 16
SOC = "sd855"
KINDS = ("recognized", "rewritten", "decomposed", "calibrated", "fused", "nnlib")


def warn(model: Model, more: Sequence[str] = ()) -> None:
    """Print warnings on stderr, even with --quiet.

    Args:
        model: with the warnings of its conversion.
        more: warnings that came after it.
    """
    warn_texts((*(model.conversion.warnings if model.conversion else ()), *more))


def warn_texts(texts: Sequence[str]) -> None:
    """Print warnings on stderr; the one about random ranges in a box."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    from hexconv.pipeline import SYNTHETIC_WARNING

    console = Console(stderr=True)
    for text in texts:
        if text == SYNTHETIC_WARNING:
            console.print(Panel(Text(text), title="WARNING", border_style="bold red"))
        else:
            console.print(Text(f"warning: {text}", "yellow"), soft_wrap=True)


def _refined(step: RefineStep) -> str:
    change = f"{step.before:.2f} -> {step.after:.2f} dB on held-back samples"
    return f"{step.name}: {change}{'' if step.kept else ', not kept'}"


def page(
    model: Model,
    files: Sequence[Path],
    found: Mapping[str, Accuracy],
    library: LibraryVersion,
    cost: Mapping[str, Any] | None,
) -> None:
    """One screenful.

    Args:
        model: as converted.
        files: that were written.
        found: its accuracy by output.
        library: that was simulated.
        cost: the section of its report.
    """
    from rich.console import Console

    console = Console(highlight=False)
    did = model.conversion
    assert did is not None
    nodes, made = sum(did.onnx_ops.values()), len(model.graph.nodes)
    weights = sum(c.array.nbytes for c in model.graph.consts if not c.shape_only)
    console.print(
        f"[bold]{_safe(model.name)}[/]: {nodes} ONNX nodes -> {made} nnlib nodes, "
        f"{size(weights)} of weights and tables"
    )
    for side, items in (("input", model.graph.inputs), ("output", model.graph.outputs)):
        for item in items:
            _line(console, side, _interface(item))
    for kind in KINDS:
        told = [f"{name} {count}" for what, name, count in did.rewrites if what == kind]
        if told:
            _line(console, kind, ", ".join(told))
    if model.parts is not None and model.parts.cpu is not None:
        _line(console, "split at", _split(model.parts))
    for row in did.floats:
        _line(console, "in float", _in_float(row))
    for step in did.refined:
        _line(console, "refined", _refined(step))
    console.print(_ops(did.onnx_ops, model.graph.histogram()))
    avoided = max(did.transposes_wanted - did.transposes_left, 0)
    _line(console, "transposes", f"{avoided} avoided, {did.transposes_left} remain")
    if cost is not None:
        _cost(console, cost)
    for name, packets in sorted(did.saved.items(), key=lambda item: -item[1]):
        _line(console, "saved by", f"{name}: {packets / 1e3:,.0f} k packets")
    for text in describe(found):
        _line(console, f"on {library}", text)
    for path in files:
        _line(console, "written", f"{path} ({size(path.stat().st_size)})")


def size(count: int) -> str:
    """Bytes in readable units."""
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"


def _line(console: Console, label: str, text: str) -> None:
    console.print(f"  [bold]{label:<11}[/] {_safe(text)}", soft_wrap=True)


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _interface(item: Interface) -> str:
    low, high = item.range
    return f"{item.name} {'x'.join(map(str, item.shape))}, {low:.4g} to {high:.4g}"


def _split(parts: Parts) -> str:
    assert parts.cpu is not None
    there, left = len(parts.dsp.graph.node), len(parts.cpu.graph.node)
    extra = f", which also reads {', '.join(parts.only_cpu)}" if parts.only_cpu else ""
    return f"{', '.join(parts.cuts)}: {there} ONNX nodes for the DSP, {left} for the CPU{extra}"


def _in_float(row: InFloat) -> str:
    price = f"{row.packets / 1e6:.3f} M packets, {row.milliseconds:.3f} ms on {SOC.upper()}"
    if row.unknown:
        price += f", and {', '.join(row.unknown)} of unknown cost"
    return f"{row.node}: {' + '.join(row.nnlib)}, {price} ({row.why})"


def _cost(console: Console, cost: Mapping[str, Any]) -> None:
    _line(
        console,
        "predicted",
        f"{cost['milliseconds_high']:.2f} ms on {cost['soc'].upper()} "
        f"({cost['packets'] / 1e6:.2f} M packets, {len(cost['nodes'])} nodes after prepare)",
    )


def _ops(onnx_ops: Mapping[str, int], nnlib_ops: Mapping[str, int]) -> Table:
    """ONNX ops in, nnlib ops out, side by side, the most frequent first."""
    from rich.table import Table

    table = Table("ONNX op", "", "nnlib op", "", box=None, padding=(0, 2, 0, 2))
    left, right = _rows(onnx_ops), _rows(nnlib_ops)
    for index in range(max(len(left), len(right))):
        row = [side[index] if index < len(side) else ("", "") for side in (left, right)]
        table.add_row(*(cell for pair in row for cell in pair))
    return table


def _rows(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [(name, str(count)) for name, count in ordered[:MOST_ROWS]]
    if len(ordered) > MOST_ROWS:
        rest = sum(count for _, count in ordered[MOST_ROWS:])
        rows.append((f"and {len(ordered) - MOST_ROWS} more", str(rest)))
    return rows
