"""`hexconv diff`: compare two reports: accuracy, packets, nodes, memory, coverage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexconv.cli._ci import ci_options
from hexconv.cli._json import emit
from hexconv.cli._named import by_name
from hexconv.cli._terminal import say, table
from hexconv.errors import FloorError
from hexconv.names import counted

if TYPE_CHECKING:
    from hexconv.report import Change, Diff

Allowed = tuple[dict[str, float], dict[str, float]]


def _allowed(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> Allowed:
    """`sqnr=0.5`, `packets=1%`: how much worse is allowed, absolute and relative, by figure."""
    parts = [part for given in texts for part in given.split(",")]
    absolute = by_name(_amount(text) for text in parts if not text.endswith("%"))
    relative = by_name(_amount(text) for text in parts if text.endswith("%"))
    return absolute, {figure: value / 100 for figure, value in relative.items()}


def _amount(text: str) -> tuple[str, float]:
    """(figure, number) of `sqnr=0.5` or `packets=1%`."""
    from hexconv.report.diff import UNITS

    figure, _, amount = text.partition("=")
    try:
        value = float(amount.removesuffix("%"))
        if figure not in UNITS or not 0 <= value < float("inf"):
            raise ValueError
    except ValueError:
        raise click.BadParameter(
            f"'{text}' is not of the form sqnr=0.5 or packets=1% ({', '.join(UNITS)})"
        ) from None
    return figure, value


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--fail-if-worse", is_flag=True, help="Exit with 3 if a figure of NEW is worse.")
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    callback=_allowed,
    metavar="FIGURE=AMOUNT",
    help="How much worse a figure may be: sqnr=0.5 (dB), packets=1%.",
)
@click.option(
    "--top", type=click.IntRange(0), default=10, show_default=True, help="Layers that are shown."
)
@ci_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but failures and errors.")
def command(
    old: Path,
    new: Path,
    fail_if_worse: bool,
    allowed: Allowed,
    top: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare the report NEW with OLD: NAME.report.json of `convert`, or --json of check, verify
    or cost.

    SQNR, cosine, close and top-1 of each output; packets, nodes, milliseconds, memory; the shares
    of nodes and multiply-accumulates in int8. A figure that NEW lacks is worse.
    """
    from hexconv.report import compare_reports, read_report

    absolute, relative = allowed
    found = compare_reports(
        read_report(old),
        read_report(new),
        absolute,
        relative=relative,
        names=(str(old), str(new)),
    )
    emit("diff", {"diff": found.as_dict()}, shown=as_json)
    if not (as_json or quiet):
        _show(found, top)
    if fail_if_worse and found.worse:
        raise FloorError(
            f"{new} is worse than {old}", why="; ".join(_sentence(item) for item in found.worse)
        )


def _show(found: Diff, top: int) -> None:
    changed = [item for item in found.changes if item.old != item.new]
    heads = ("figure", "of", "old", "new", "change", "")
    if changed:
        table(heads, [_cells(item, worse=item.worse) for item in changed])
    if found.layers[:top]:
        say(f"\nPackets by layer ({len(found.layers[:top])} of {len(found.layers)}):")
        table(heads, [_cells(item, worse=False) for item in found.layers[:top]])
    same = len(found.changes) - len(changed)
    figures = counted(len(found.changes), "figure")
    say(f"{figures}: {same} the same, {len(found.worse)} worse")


def _cells(item: Change, *, worse: bool) -> tuple[str, ...]:
    change = "" if item.change is None else f"{item.change:+,.6g} {item.unit}".rstrip()
    return item.figure, item.of, _text(item.old), _text(item.new), change, "worse" if worse else ""


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _sentence(item: Change) -> str:
    label = f"{item.figure} of {item.of}" if item.of else item.figure
    return f"{label} is {_text(item.new)}, was {_text(item.old)}"
