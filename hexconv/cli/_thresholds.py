"""Thresholds of `hexconv verify`, on its own figures and on the user's metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from hexconv.cli._html import AnyCommand
from hexconv.cli._named import by_name

if TYPE_CHECKING:
    from hexconv.compare.user_metrics import Metric


def _metrics(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> list[Metric]:
    """`metrics.py:function`, repeated: the functions."""
    if not texts:
        return []
    from hexconv.compare.user_metrics import checked, load_metric

    return checked(map(load_metric, texts))


def _limits(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, float]:
    """`sqnr=25`, comma-separated or repeated: thresholds by figure."""
    if not texts:
        return {}
    from hexconv.compare.metrics import FLOORS
    from hexconv.compare.user_metrics import ALL, name_of

    metrics = ctx.params.get("metrics") or []
    named = [*map(name_of, metrics), *([ALL] if metrics else [])]
    figures = [*(FLOORS if param.name == "floors" else ()), *dict.fromkeys(named)]
    return by_name(_limit(part, figures) for given in texts for part in given.split(","))


def _limit(text: str, figures: Sequence[str]) -> tuple[str, float]:
    """(figure, limit) of `sqnr=25`."""
    figure, separator, limit = text.partition("=")
    if not separator or figure not in figures:
        listed = ", ".join(figures) or "none without --metric"
        example = f"{figures[0] if figures else 'wer'}=25"
        raise click.BadParameter(f"'{text}' is not of the form {example} ({listed})")
    try:
        found = float(limit)
    except ValueError:
        raise click.BadParameter(f"'{limit}' is not a number") from None
    if math.isnan(found):
        raise click.BadParameter(f"'{limit}' is not a number")
    return figure, found


def threshold_options(function: AnyCommand) -> AnyCommand:
    """--fail-below, --fail-above and --metric."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


OPTIONS = (
    click.option(
        "--fail-below",
        "floors",
        multiple=True,
        metavar="FIGURE=LEAST",
        callback=_limits,
        help="Exit with 3 if an output is worse: sqnr=25 (dB), cosine=0.99, close=0.5, top1=0.95; "
        "or a --metric of the DSP, by the function's name or as metric=VALUE.",
    ),
    click.option(
        "--fail-above",
        "ceilings",
        multiple=True,
        metavar="METRIC=MOST",
        callback=_limits,
        help="Exit with 3 if a --metric of the DSP is larger: wer=0.1.",
    ),
    click.option(
        "--metric",
        "metrics",
        multiple=True,
        is_eager=True,
        metavar="FILE.py:FUNCTION",
        callback=_metrics,
        help="Measure the float model's outputs and the DSP's with this function of (outputs, "
        "samples) as well; repeat for others.",
    ),
)
