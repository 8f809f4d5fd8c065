"""The text output of `hexconv verify`, and the rows of a comparison with the library."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hexconv.cli._terminal import say, table
from hexconv.compare.metrics import EXACT
from hexconv.compare.sums import ATOL, RTOL
from hexconv.names import counted
from hexconv.translation import translated

if TYPE_CHECKING:
    from hexconv.compare import LayerRow, Report
    from hexconv.compare.device import NodeRow
    from hexconv.compare.metrics import Metrics
    from hexconv.compare.tally import Figures, PartFigures

SET_NAMES = {"calibration": "calibration", "held_out": "held-out"}
SHORT_NAMES = {"calibration": "calibr.", "held_out": "held-out"}


def page(report: Report, most: int) -> None:
    """Outputs, then layers by their own error (worst first), then advice."""
    where = "the emulated library" if report.on == "device" else "the simulator"
    say(f"{report.model} on {where} ({report.library}) against ONNX Runtime's float")
    _outputs(report)
    _metrics(report)
    if most and report.layers:
        _layers(report, most)
        _advice(report.layers[:most])
    if report.unmatched:
        tensors = counted(len(report.unmatched), "tensor")
        say(f"\nNot compared: {tensors} that the float model does not have")


def _outputs(report: Report) -> None:
    heads = ("output", "on", "samples", "SQNR dB", "cosine", "max\nerror", "mean\nerror", "close")
    rows = []
    for row in report.outputs:
        for name, metrics in row.sets():
            kind = translated(SET_NAMES[name])
            rows.append((row.name, kind, metrics.samples, *_cells(metrics)))
            for part in row.parts:
                own: PartFigures = getattr(part, name)
                cells = _cells(own.metrics)
                rows.append((f"  {part.tensor}", kind, own.metrics.samples, *cells))
    table((*heads, "top-1"), rows, drop=("mean\nerror", "samples"))
    say(f"close: |x - y| <= {ATOL:g} + {RTOL:g} |x|")
    for row in report.outputs:
        for name, metrics in row.sets():
            if metrics.centered is not None and metrics.mean_dominates:
                kind = translated(SET_NAMES[name])
                say(
                    f"'{row.name}' ({kind}): most of the signal is its mean; without the mean SQNR "
                    f"is {decibels(metrics.centered)} dB"
                )


def _metrics(report: Report) -> None:
    """The user's metrics: the float model's beside the DSP's."""
    rows = [
        (row.name, translated(SET_NAMES[name]), f"{pair.float_model:.6g}", f"{pair.quantized:.6g}")
        for row in report.metrics
        for name in SET_NAMES
        if (pair := getattr(row, name)) is not None
    ]
    if rows:
        say("")
        table(("metric", "on", "float model", "DSP"), rows)


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


def _layers(report: Report, most: int) -> None:
    """One row per tensor: own and accumulated SQNR on either set."""
    shown = report.layers[:most]
    both = [n for n in SET_NAMES if any(getattr(row, n) is not None for row in report.layers)]
    heads = ["", "layer", "op"]
    for name in both:
        title = f"\n{SHORT_NAMES[name]}" if len(both) > 1 else ""
        heads += [f"own\ndB{title}", f"accum.\ndB{title}"]
    rows = []
    for number, row in enumerate(shown, 1):
        cells = [cell for name in both for cell in _pair(getattr(row, name))]
        advised = str(number) if row.advice else ""
        rows.append((advised, row.onnx_node or row.tensor, row.op, *cells, *_fit(row)))
    first = max(m.samples for row in report.outputs for _, m in row.sets())
    some = shown[0].worst.own.samples
    few, layers = len(shown), len(report.layers)
    if some < first:
        on = counted(some, "sample")
        say(f"\nLayers, worst own error first ({few} of {layers}; on the first {on} of each set):")
    else:
        say(f"\nLayers, worst own error first ({few} of {layers}):")
    heads += ["best dB\nin range", "clipped", "levels\nused"]
    table(heads, rows, drop=("clipped", "op"))


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


def _advice(rows: Sequence[LayerRow]) -> None:
    """Advice, one paragraph per cause, with the numbers of the layers that it is for."""
    numbers: dict[str, list[str]] = {}
    for number, row in enumerate(rows, 1):
        for text in row.advice:
            numbers.setdefault(text, []).append(str(number))
    if numbers:
        say("\nWhat the figures say (--explain measures what helps):")
    for text, found in numbers.items():
        say(f"  {', '.join(found)}: {text}")


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
