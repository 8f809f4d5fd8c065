"""`hexconv check`: what each node of a model maps to, and every unsupported node at once."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._ci import ci_options
from hexconv.cli._json import emit
from hexconv.cli._options import interface_options
from hexconv.cli._terminal import KEPT, say, table
from hexconv.names import counted
from hexconv.settings import OptimizeLevel
from hexconv.translation import translated

if TYPE_CHECKING:
    from hexconv.support import NodeSupport, SupportReport


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@interface_options
@click.option("--optimize", type=click.Choice(["none", "default", "all"]), default="default")
@click.option("--float-fallback", is_flag=True, help="Let float ops compute what int8 cannot.")
@click.option("--all", "show_all", is_flag=True, help="Show every node, not only unsupported ones.")
@ci_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; use the exit code.")
def command(
    model: Path,
    shapes: dict[str, tuple[int, ...]],
    optimize: OptimizeLevel,
    float_fallback: bool,
    show_all: bool,
    as_json: bool,
    quiet: bool,
    **interface: Any,
) -> None:
    """Show what each node of MODEL maps to on the DSP, or why it is unsupported.

    Exit code 0 if the whole model runs, 1 if a node is unsupported.
    """
    from hexconv.support import check

    report = check(
        model,
        shapes,
        optimize,
        float_fallback=float_fallback,
        fusions=not quiet,
        **interface,
    )
    emit("check", {"source": report.source, "coverage": report.to_dict()}, shown=as_json)
    if not (as_json or quiet):
        _show(report, show_all)
    if not report.ok:
        sys.exit(1)


def _show(report: SupportReport, show_all: bool) -> None:
    if show_all:
        rows = [(_name(row), row.op, _becomes(row)) for row in report.nodes]
        table(["node", "op", "on the DSP"], rows, prose=True)
    for row in report.unsupported:
        say(f"{_name(row)} ({row.op}): {row.reason}", style="red")
        if row.hint:
            say(f"  hint: {row.hint}")
    total = counted(len(report.nodes), "node")
    say(
        f"{total}: {report.node_share:.1%} of them and {report.mac_share:.1%} of the "
        "multiply-accumulates run in int8"
    )
    if report.unsupported:
        say(f"{len(report.unsupported)} unsupported")


def _name(row: NodeSupport) -> str:
    return row.node or "(the model's interface)"


def _becomes(row: NodeSupport) -> str:
    if row.reason:
        return "unsupported"
    if row.within:
        return translated(f"in {row.within}").replace(" ", KEPT)
    return " + ".join(_with_counts(row.nnlib)) or "no node (layout only)"


def _with_counts(ops: Sequence[str]) -> Iterator[str]:
    """Equal ops as one: `4 x QuantizedSlice_8`, which a line keeps together."""
    for op, times in Counter(ops).items():
        yield op if times == 1 else f"{times}{KEPT}x{KEPT}{op}"
