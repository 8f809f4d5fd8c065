"""`hexconv check`: what each node of a model becomes, and every refusal at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from hexconv.cli._options import shape_option


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@shape_option
@click.option("--optimize", type=click.Choice(["none", "default", "all"]), default="default")
@click.option("--all", "show_all", is_flag=True, help="Show every node, not only refused ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells.")
def command(
    model: Path,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    optimize: str,
    show_all: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say of every node of MODEL what it becomes on the DSP, or why it cannot run.

    Exit code 0 if the whole model runs, 1 if a node is refused.
    """
    from hexconv.support import check

    report = check(model, dict(shapes), optimize)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1, ensure_ascii=False))
    elif not quiet:
        _show(report, show_all)
    if not report.ok:
        sys.exit(1)


def _show(report: Any, show_all: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    rows = report.nodes if show_all else report.refusals
    if rows:
        table = Table("node", "op", "on the DSP", box=None, header_style="bold")
        for row in rows:
            fate = f"[red]refused[/]: {row.refused}" if row.refused else _becomes(row.nnlib)
            if row.todo:
                fate += f"\n  do: {row.todo}"
            table.add_row(row.node, row.op, fate)
        console.print(table)
    console.print(
        f"{len(report.nodes)} nodes: {report.node_share:.1%} of them and "
        f"{report.mac_share:.1%} of the multiply-accumulates run in int8"
        + ("" if report.ok else f"; {len(report.refusals)} refused")
    )


def _becomes(ops: tuple[str, ...]) -> str:
    return " + ".join(ops) if ops else "no node (layout only)"
