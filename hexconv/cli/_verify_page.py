"""The text output of `hexconv verify`, and the rows of a comparison with the library."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hexconv.compare.metrics import EXACT
from hexconv.compare.sums import ATOL, RTOL

if TYPE_CHECKING:
    from rich.console import Console

    from hexconv.compare import LayerRow, Report
    from hexconv.compare.device import NodeRow
    from hexconv.compare.metrics import Metrics
    from hexconv.compare.tally import Figures

FILE_WIDTH = 160
SET_NAMES = {"calibration": "calibration", "held_out": "held-out"}


def page(report: Report, most: int) -> None:
    """Outputs, then tensors by their node's own error (worst first), then advice."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    where = "the emulated library" if report.on == "device" else "the simulator"
    console.print(f"{report.model} on {where} ({report.library}) against ONNX Runtime's float")
    _outputs(console, report)
    if most and report.layers:
        _layers(console, report, most)
        _advice(console, report.layers[:most])
    if report.unmatched:
        listed = ", ".join(report.unmatched[:5])
        more = f" and {len(report.unmatched) - 5} more" if len(report.unmatched) > 5 else ""
        console.print(
            f"\nNot compared, as the float model has no such tensors: {listed}{more}", style="dim"
        )


def _outputs(console: Console, report: Report) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("output", overflow="fold")
    heads = ("samples", "SQNR dB", "cosine", "max error", "mean error", "close", "top-1")
    table.add_column("on")
    for head in heads:
        table.add_column(head, justify="right")
    for row in report.outputs:
        for name, metrics in row.sets():
            table.add_row(row.name, SET_NAMES[name], str(metrics.samples), *_cells(metrics))
    console.print(table)
    console.print(f"close: |x - y| <= {ATOL:g} + {RTOL:g} |x|", style="dim")


def _cells(metrics: Metrics) -> list[str]:
    return [
        decibels(metrics.sqnr),
        f"{metrics.cosine:.5f}",
        f"{metrics.max_error:.3g}",
        f"{metrics.mean_error:.3g}",
        f"{metrics.close:.1%}",
        "" if metrics.top1 is None else f"{metrics.top1:.1%}",
    ]


def decibels(value: float) -> str:
    """A figure in dB; words at the ends of the scale."""
    if value >= EXACT:
        return "exact"
    return "no signal" if value <= -EXACT else f"{value:.1f}"


def _layers(console: Console, report: Report, most: int) -> None:
    """One row per tensor: own and accumulated SQNR on either set."""
    from rich.table import Table

    shown = report.layers[:most]
    both = [n for n in SET_NAMES if any(getattr(row, n) is not None for row in report.layers)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right")
    table.add_column("tensor", overflow="fold")
    table.add_column("op", overflow="fold")
    for name in both:
        title = SET_NAMES[name] if len(both) > 1 else ""
        table.add_column(f"own dB\n{title}", justify="right")
        table.add_column(f"accum. dB\n{title}", justify="right")
    for head in ("best dB\nin range", "clipped", "levels\nused"):
        table.add_column(head, justify="right")
    for number, row in enumerate(shown, 1):
        cells = [cell for name in both for cell in _pair(getattr(row, name))]
        table.add_row(
            str(number) if row.advice else "",
            row.tensor,
            row.op,
            *cells,
            *_fit(row),
            style="yellow" if row.advice else "",
        )
    console.print(f"\nTensors, worst own error first ({len(shown)} of {len(report.layers)}):")
    console.print(table)


def _pair(figures: Figures | None) -> list[str]:
    if figures is None:
        return ["", ""]
    accumulated = figures.accumulated
    return [
        decibels(figures.own.sqnr),
        "" if accumulated is None else decibels(accumulated.sqnr),
    ]


def _fit(row: LayerRow) -> list[str]:
    fit = row.worst.fit
    if fit is None:
        return ["", "", ""]
    return [decibels(fit.best), f"{fit.clipped:.2%}", str(fit.used)]


def _advice(console: Console, rows: Sequence[LayerRow]) -> None:
    """Advice, one line per cause."""
    if not any(row.advice for row in rows):
        return
    console.print("\nWhat to try:")
    for number, row in enumerate(rows, 1):
        for text in row.advice:
            console.print(f"{number:4}  {text}", soft_wrap=True)


def node_dicts(rows: Sequence[NodeRow]) -> list[dict[str, Any]]:
    """Plain data."""
    return [{**asdict(row), "verdict": row.verdict.value} for row in rows]


def node_csv(rows: Sequence[NodeRow]) -> str:
    """One row per node."""
    text = io.StringIO()
    heads = ("name", "op", "verdict", "port", "different", "elements", "largest", "starts_here")
    writer = csv.DictWriter(text, (*heads, "note"), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(node_dicts(rows))
    return text.getvalue()
