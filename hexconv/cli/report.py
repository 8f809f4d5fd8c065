"""`hexconv report`: one HTML page of a model, with charts, from its reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hexconv.cli._html import model_and_reports, page_beside, write_html
from hexconv.cli._output import OutputFile
from hexconv.cli._terminal import say


@click.command()
@model_and_reports
@click.option(
    "--html",
    "target",
    type=OutputFile(),
    metavar="FILE.html",
    help="Where to write it.  [default: NAME.report.html beside the model]",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(model: Path, reports: tuple[Path, ...], target: Path | None, quiet: bool) -> None:
    """Write one self-contained HTML page of a model: whether it runs, how good, how fast, what to
    do next, and charts with their tables.

    NAME.pb is shown with NAME.report.json beside it; a REPORT.json alone will do too. More reports
    add their sections: the --json of verify, cost, check or phone profile.
    """
    from hexconv.files import check_file
    from hexconv.report import read_report
    from hexconv.report.html_page import require_jinja2
    from hexconv.report.stored import report_of

    require_jinja2()
    page = target or _page(model)
    check_file(page)
    first: dict[str, Any] = read_report(model) if model.suffix == ".json" else report_of(model)
    written = write_html(page, first, *map(read_report, reports))
    if not quiet:
        say(f"written: {written}")


def _page(model: Path) -> Path:
    """NAME.report.html beside NAME.pb, NAME.report.json or NAME.json."""
    if model.suffix != ".json":
        return page_beside(model)
    name = model.name.removesuffix(".json").removesuffix(".report")
    return model.parent / f"{name}.report.html"
