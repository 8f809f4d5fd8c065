"""The HTML report: one self-contained page with charts, tables and CSV, in English and Chinese."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hexconv.argument_types import REPORTS, checks_types
from hexconv.errors import ConfigError, MissingExtra
from hexconv.names import listed
from hexconv.report.cards import cards, steps
from hexconv.report.document import accuracy_rows
from hexconv.report.page_text import WORDS, other, plain, shown
from hexconv.report.parts import message
from hexconv.report.sections import sections
from hexconv.translation import language


class HasReport(Protocol):
    """A model."""

    def report(self) -> dict[str, Any]:
        """Its report, a document of the schema."""


PAGE = Path(__file__).with_name("page")


@checks_types(reports=REPORTS)
def html(*reports: Mapping[str, Any] | HasReport) -> str:
    """One page of one or more documents of a model.

    Args:
        reports: a model, or documents of the schema, as `hexconv.schema` has them; a section of a
            later one replaces that of an earlier one.

    Returns:
        The page: no part of it is loaded from elsewhere, and names are shown as text.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    report = merged([item if isinstance(item, Mapping) else item.report() for item in reports])
    page: str = _template().render(
        **_page(report),
        lang="zh-CN" if language() == "zh" else "en",
        style=_asset("page.css"),
        library_of_charts=_asset("echarts.min.js"),
        script=_asset("charts.js") + _asset("page.js"),
    )
    return page


def _template() -> Any:
    """The page without its contents, with what writes a text and a figure."""
    environment = require_jinja2().Environment(
        autoescape=True, undefined=require_jinja2().StrictUndefined
    )
    environment.globals |= {"plain": plain, "other": other, "shown": shown, "words": WORDS}
    return environment.from_string(_asset("page.html.j2"))


def require_jinja2() -> Any:
    """The module jinja2.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("jinja2", "report") from error
    return jinja2


def merged(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The sections of all documents; an estimate of what 8 bits allow is kept for its output.

    Raises:
        ConfigError: they are of different models.
    """
    names = list(dict.fromkeys(report["name"] for report in reports if "name" in report))
    if len(names) > 1:
        raise ConfigError(
            f"the reports are of different models: {listed(names)}",
            hint="give reports of one model",
        )
    whole: dict[str, Any] = {}
    for report in reports:
        allowed = {row["name"]: row["allowed"] for row in accuracy_rows(whole, "outputs")}
        whole.update({key: value for key, value in report.items() if value is not None})
        if allowed and whole.get("accuracy"):
            rows = [
                {**row, "allowed": row["allowed"] or allowed.get(row["name"])}
                for row in whole["accuracy"]["outputs"]
            ]
            whole["accuracy"] = {**whole["accuracy"], "outputs": rows}
    return whole


def _page(report: Mapping[str, Any]) -> dict[str, Any]:
    error = report.get("error")
    found = sections(report)
    name = _title(report)
    parts = ("id", "title", "columns", "rows", "chart", "details")
    drawn = [{part: getattr(section, part) for part in parts} for section in found]
    return {
        "name": name,
        "hexconv": report["hexconv"],
        "library": report.get("library", ""),
        "error": None if error is None else message(error["what"]),
        "cards": cards(report),
        "steps": steps(report),
        "sections": found,
        "data": _script_json({"name": name, "sections": drawn, "words": WORDS}),
    }


def _title(report: Mapping[str, Any]) -> str:
    source = str(report.get("source", ""))
    return str(report.get("name") or Path(source).stem or "model")


def _script_json(value: Any) -> str:
    """JSON that nothing in it can end the script element of."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _asset(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
