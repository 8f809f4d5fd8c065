"""The output of `hexconv convert`: a one-screen summary for people, JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv.cli._cost_page import span
from hexconv.cli._terminal import KEPT, padded, say, table
from hexconv.compare.accuracy import Accuracy, describe
from hexconv.cost.soc import Time
from hexconv.names import counted, listed
from hexconv.nnlib.versions import LibraryVersion
from hexconv.translation import translated

if TYPE_CHECKING:
    from hexconv.conversion_record import InFloat, Parts, RefineStep
    from hexconv.model import Model
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
    """Print warnings on stderr; the one about random ranges in capitals and red."""
    from hexconv.tensor_ranges import SYNTHETIC_WARNING

    for text in texts:
        if text == SYNTHETIC_WARNING:
            say(f"WARNING: {text}", err=True, style="red")
        else:
            say(f"warning: {text}", err=True, style="yellow")


def _refined(step: RefineStep) -> str:
    on = "samples of the calibration" if step.calibrated else "held-back samples"
    change = f"{step.before:.2f} -> {step.after:.2f} dB on {on}"
    if step.packets_before is not None and step.packets_after is not None:
        packets = f"{step.packets_before:,.0f} -> {step.packets_after:,.0f} packets"
        change = f"{change}; {packets}"
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
    did = model.conversion
    assert did is not None
    nodes, made = sum(did.onnx_ops.values()), len(model.graph.nodes)
    weights = sum(c.array.nbytes for c in model.graph.consts if not c.shape_only)
    say(
        f"{model.name}: {counted(nodes, 'ONNX node')} -> {counted(made, 'nnlib node')}, "
        f"{size(weights)} of weights and tables",
        style="bold",
    )
    for side, items in (("input", model.graph.inputs), ("output", model.graph.outputs)):
        for item in items:
            _line(side, _interface(item))
    for kind in KINDS:
        told = [f"{name}{KEPT}{count}" for what, name, count in did.rewrites if what == kind]
        if told:
            _line(kind, ", ".join(told))
    if model.parts is not None and model.parts.cpu is not None:
        _line("split at", _split(model.parts))
    for row in did.floats:
        _line("in float", _in_float(row))
    for step in did.refined:
        _line("refined", _refined(step))
    _ops(did.onnx_ops, model.graph.histogram())
    avoided = max(did.transposes_wanted - did.transposes_left, 0)
    _line("transposes", f"{avoided} avoided, {did.transposes_left} remain")
    if cost is not None:
        _line("predicted", _cost(cost))
    for name, packets in sorted(did.saved.items(), key=lambda item: -item[1]):
        _line("saved by", f"{name}: {packets:,.0f} packets")
    for text in describe(found):
        _line(f"on {library}", text)
    for path in files:
        _line("written", f"{path} ({size(path.stat().st_size)})")


def say_full_precision(model: Model) -> None:
    """Say which outputs the CPU could compute in float, why that is better, and the option."""
    offers = model.conversion.full_precision if model.conversion else ()
    if not offers:
        return
    outputs = listed([offer.output for offer in offers])
    cuts = ",".join(dict.fromkeys(offer.tensor for offer in offers))
    reason = " / ".join(translated(text) for text in dict.fromkeys(o.reason for o in offers))
    say(
        f"note: 8-bit output {outputs}: {reason}; --split {cuts} computes it in float on the CPU",
        err=True,
    )


def size(count: int) -> str:
    """Bytes in readable units."""
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"


def _line(label: str, text: str) -> None:
    table(["", "", ""], [("", padded(translated(label), 11), text)], prose=True)


def _interface(item: Interface) -> str:
    low, high = item.range
    return f"{item.name} {'x'.join(map(str, item.shape))}, {low:.4g} to {high:.4g}"


def _split(parts: Parts) -> str:
    assert parts.cpu is not None
    there, left = len(parts.dsp.graph.node), len(parts.cpu.graph.node)
    extra = f", which also reads {', '.join(parts.only_cpu)}" if parts.only_cpu else ""
    return f"{', '.join(parts.cuts)}: {there} ONNX nodes for the DSP, {left} for the CPU{extra}"


def _in_float(row: InFloat) -> str:
    price = f"{row.packets / 1e6:.3f} M packets"
    if row.unknown:
        price += f", and {', '.join(row.unknown)} of unknown cost"
    return f"{row.node}: {' + '.join(row.nnlib)}, {price} ({row.why})"


def _cost(cost: Mapping[str, Any]) -> str:
    """Time as a range, packets, nodes."""
    time = Time(cost["milliseconds_low"], cost["milliseconds_high"])
    return (
        f"{span(time)} ms on {cost['soc'].upper()} (from a DSP at full clock to the one "
        f"published profile), {cost['packets'] / 1e6:.2f} M packets, "
        f"{counted(len(cost['nodes']), 'node')} after prepare"
    )


def _ops(onnx_ops: Mapping[str, int], nnlib_ops: Mapping[str, int]) -> None:
    """ONNX ops in, nnlib ops out, side by side, the most frequent first."""
    left, right = _rows(onnx_ops), _rows(nnlib_ops)
    rows = []
    for index in range(max(len(left), len(right))):
        row = [side[index] if index < len(side) else ("", "") for side in (left, right)]
        rows.append(("", *(cell for pair in row for cell in pair)))
    table(["", "ONNX op", "", "nnlib op", ""], rows)


def _rows(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [(name, str(count)) for name, count in ordered[:MOST_ROWS]]
    if len(ordered) > MOST_ROWS:
        rest = sum(count for _, count in ordered[MOST_ROWS:])
        rows.append((f"and {len(ordered) - MOST_ROWS} more", str(rest)))
    return rows
