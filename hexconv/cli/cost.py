"""`hexconv cost`: predict what a model costs on the DSP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._ci import ci_options
from hexconv.cli._html import html_option, page_beside, page_here, write_html
from hexconv.cli._json import emit, kept
from hexconv.cli._named import by_name
from hexconv.cli._options import interface_options, table_options
from hexconv.cli._terminal import say
from hexconv.errors import ConfigError, FloorError
from hexconv.settings import OptimizeLevel

if TYPE_CHECKING:
    from hexconv.cost import Cost
    from hexconv.cost.phones import PhoneProfile
    from hexconv.cost.table import MeasuredLibrary

LIBRARIES = ("v60", "v65", "v66", "open")
SOC_HELP = "sd835, sd845, sd855 or the like, or a phone that was calibrated"
LIMITS = {
    "ms": {"": 1.0},
    "memory": {"": 1.0, "K": 2.0**10, "M": 2.0**20, "G": 2.0**30},
    "packets": {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9},
}
"""Figures that --fail-above takes, and the factors of the letters after a number."""


def _limits(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, float]:
    """`ms=20`, `memory=64M`: the most that is allowed, by figure."""
    return by_name(_limit(part) for given in texts for part in given.split(","))


def _limit(text: str) -> tuple[str, float]:
    """(figure, the most) of `memory=64M`."""
    figure, _, most = text.partition("=")
    units = LIMITS.get(figure)
    letter = most[-1:].upper() if most[-1:].isalpha() else ""
    try:
        if units is None:
            raise ValueError
        limit = float(most.removesuffix(most[-1:]) if letter else most) * units[letter]
        if not limit > 0:
            raise ValueError
    except (ValueError, KeyError):
        raise click.BadParameter(
            f"'{text}' is not of the form ms=20, memory=64M or packets=4M"
        ) from None
    return figure, limit


@click.command()
@click.argument("model", metavar="[MODEL]", type=click.Path(path_type=Path), required=False)
@interface_options
@click.option(
    "--optimize",
    type=click.Choice(["none", "default", "all"]),
    default="default",
    help="Of an .onnx model: how to convert it.",
    show_default=True,
)
@click.option(
    "--soc", help=f"{SOC_HELP}; list shows all.  [default: sd855, or one that loads --library]"
)
@click.option(
    "--library",
    type=click.Choice(LIBRARIES),
    help="v60, v65, v66: as shipped with MACE; open: nnlib's source with one thread.  "
    "[default: the one that --soc loads]",
)
@table_options
@click.option("--mace-tables", is_flag=True, help="Print MACE's own two tables.")
@click.option("--compare", type=click.Path(path_type=Path), help="Another model to compare with.")
@click.option(
    "--calibrate",
    "log",
    type=click.Path(path_type=Path),
    metavar="PHONE.log",
    help="Fit the time model to a phone's log of MODEL, and store it under --as.",
)
@click.option("--as", "name", metavar="NAME", help="With --calibrate: a name, for --soc.")
@click.option(
    "--fail-above",
    "limits",
    multiple=True,
    callback=_limits,
    metavar="FIGURE=MOST",
    help="Exit with 3 above: ms=20 (the upper end), memory=64M (heap), packets=4M.",
)
@html_option
@ci_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all rows as CSV.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the packets.")
def command(
    model: Path | None,
    shapes: dict[str, tuple[int, ...]],
    optimize: OptimizeLevel,
    soc: str | None,
    library: MeasuredLibrary | None,
    by: str,
    top: int,
    mace_tables: bool,
    compare: Path | None,
    log: Path | None,
    name: str | None,
    limits: dict[str, float],
    as_html: bool,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
    **interface: Any,
) -> None:
    """Predict what MODEL (.pb or .onnx) costs: the nodes after prepare, and the packets,
    bytes and time of each; the memory that it needs.

    Packets are those that the emulated library retires (`hexconv device profile`). Milliseconds are
    a range, from a DSP at full clock to the one published profile of a phone, unless a phone was
    calibrated. A node of unknown cost is listed.
    """
    from hexconv.cli import _cost_page as page
    from hexconv.files import check_file

    if soc == "list":
        page.list_socs(as_json)
        return
    if model is None:
        raise click.UsageError("give a MODEL, or --soc list")
    if (log is None) != (name is None):
        raise click.UsageError("--calibrate and --as go together")
    if name is not None:
        _check_profile(name)
    soc, library = _target(soc, library)
    page_path = page_here(model) if _is_onnx(model) else page_beside(model)
    if as_html:
        check_file(page_path)
    cost = _cost(model, shapes, optimize, library, interface)
    other = _cost(compare, shapes, optimize, library, interface) if compare else None
    thresholds = _thresholds(cost, soc, limits)
    above = [_sentence(row) for row in thresholds if not row["ok"]]
    emit("cost", _machine(model, cost, other, soc, thresholds, above), shown=as_json)
    if as_html:
        write_html(page_path, *_reports(model))
        if not (quiet or as_json or as_csv):
            say(f"written: {page_path}")
    if log is not None and name is not None:
        page.calibrated(_calibrated(cost, log, name), quiet or as_json)
    elif as_csv:
        page.csv_rows(cost, by, soc)
    elif mace_tables:
        click.echo(page.mace(cost, soc))
    elif quiet and not as_json:
        click.echo(f"{cost.packets:.0f}")
    elif other is not None and not as_json:
        page.beside(cost, other, by, top, model.name, compare.name if compare else "")
    elif not as_json:
        page.page(cost, soc, by, top)
    for node in cost.unknown:
        say(f"not counted: {node.name or node.id} ({node.op}): {node.basis}", err=True)
    if above:
        raise FloorError("; ".join(above))


def _target(soc: str | None, library: MeasuredLibrary | None) -> tuple[str, MeasuredLibrary]:
    """The phone and its library, where one or both are named.

    Raises:
        ConfigError: the phone is not known, or loads another library.
    """
    from hexconv.cost import soc as socs

    if soc is None:
        chosen: MeasuredLibrary = library or socs.library_of(socs.DEFAULT)
        return socs.for_library(chosen), chosen
    loads = socs.library_of(soc)
    if library in (None, "open", loads):
        return soc, library or loads
    raise ConfigError(
        f"{soc} loads {loads}, not {library}",
        hint=f"leave --library out, or give --library {loads}",
    )


def _cost(
    path: Path,
    shapes: dict[str, tuple[int, ...]],
    optimize: OptimizeLevel,
    library: MeasuredLibrary,
    interface: Mapping[str, Any],
) -> Cost:
    """Predict for a file; ranges do not change the cost, so an .onnx model gets synthetic ones."""
    from hexconv.cost import predict

    if _is_onnx(path):
        from hexconv.conversion import convert

        target = "v60" if library == "open" else library
        model = convert(path, shapes, optimize=optimize, library=target, **interface)
        return predict(model, library)
    from hexconv.model import load

    return predict(load(path), library)


def _check_profile(name: str) -> None:
    """Raise for a name under which no phone can be stored."""
    from hexconv.cost import phones
    from hexconv.cost import soc as socs
    from hexconv.files import check_file

    if name in socs.names() or name == "list":
        raise ConfigError(f"'{name}' names a SoC already", hint="give --as another name")
    phones.check_name(name)
    check_file(phones.path_of(name))


def _calibrated(cost: Cost, log: Path, name: str) -> PhoneProfile:
    """Fit the time model to a phone's log, and store it."""
    from hexconv.cost.calibration import calibrate
    from hexconv.cost.logs import read_log
    from hexconv.cost.phones import store

    profile = calibrate(cost, read_log(log), name)
    store(profile)
    return profile


def _reports(model: Path) -> list[Mapping[str, Any]]:
    """What the page shows: the model's report, if it has one, and the prediction."""
    from hexconv.report.stored import report_of

    predicted = kept()
    assert predicted is not None
    return [predicted] if _is_onnx(model) else [report_of(model), predicted]


def _is_onnx(model: Path) -> bool:
    return model.suffix.lower() == ".onnx"


def _machine(
    model: Path,
    cost: Cost,
    other: Cost | None,
    soc: str,
    thresholds: list[dict[str, Any]],
    above: list[str],
) -> dict[str, Any]:
    """The document of --json."""
    return {
        "source": str(model),
        "library": cost.library,
        "cost": cost.as_dict(soc),
        "compare": None if other is None else other.as_dict(soc),
        "thresholds": thresholds,
        "failures": above,
    }


def _thresholds(cost: Cost, soc: str, limits: dict[str, float]) -> list[dict[str, Any]]:
    """The figures that --fail-above limits, each beside its limit."""
    memory = cost.memory
    found = {
        "ms": cost.time(soc).high,
        "memory": max(memory.prepare, memory.execute),
        "packets": cost.packets,
    }
    return [
        {
            "figure": figure,
            "of": "",
            "value": found[figure],
            "limit": most,
            "ok": found[figure] <= most,
        }
        for figure, most in limits.items()
    ]


def _sentence(row: dict[str, Any]) -> str:
    from hexconv.report.document import in_units

    value, limit = (in_units(row["figure"], row[key]) for key in ("value", "limit"))
    return f"{row['figure']} is {value}, above {limit}"
