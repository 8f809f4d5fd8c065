"""What commands share that write, or read, the report page of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

AnyCommand = Callable[..., Any]
HTML = ".report.html"
"""What follows NAME in the name of the page."""


def model_and_reports(function: AnyCommand) -> AnyCommand:
    """The arguments of a command that shows a model with more reports of it."""
    file = click.Path(path_type=Path)
    function = click.argument("reports", metavar="[REPORT.json]...", nargs=-1, type=file)(function)
    return click.argument("model", metavar="NAME.pb", type=file)(function)


def html_option(function: AnyCommand) -> AnyCommand:
    """--html, checked before the work and not after it."""
    return click.option(
        "--html",
        "as_html",
        is_flag=True,
        callback=_checked,
        help="Write NAME.report.html too: one page with charts, for a browser.",
    )(function)


def _checked(ctx: click.Context, param: click.Parameter, wanted: bool) -> bool:
    if wanted:
        from hexconv.report.html_page import require_jinja2

        require_jinja2()
    return wanted


def write_html(path: Path, *reports: Mapping[str, Any]) -> Path:
    """Write the page of the documents of a model.

    Returns:
        The path.
    """
    from hexconv.files import write_files

    write_files({path: page_of(*reports)})
    return path


def page_of(*reports: Mapping[str, Any]) -> bytes:
    """The page of the documents of a model."""
    from hexconv.names import encoded
    from hexconv.report.html_page import html

    return encoded(html(*reports))


def page_beside(model: Path) -> Path:
    """NAME.report.html beside a model."""
    return model.parent / f"{model.stem}{HTML}"


def page_here(source: Path) -> Path:
    """Of an ONNX model, in the current folder, by the name that `convert` gives the model."""
    from hexconv.model_names import model_name

    return Path(f"{model_name(source)}{HTML}")


def page_for(source: Path | None, built: Path | None) -> Path:
    """Where the page of an ONNX model, or of one that is built, is written."""
    if built is not None:
        return page_beside(built)
    assert source is not None
    return page_here(source)
