"""The HTML report: one self-contained page with charts, tables and CSV, in English and Chinese."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from hexconv.argument_types import REPORTS, checks_types
from hexconv.errors import ConfigError, MissingExtra
from hexconv.names import listed
from hexconv.report.cards import cards, steps
from hexconv.report.document import accuracy_rows
from hexconv.report.parts import Text, message, same
from hexconv.report.sections import sections


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
    jinja2 = require_jinja2()
    report = merged([item if isinstance(item, Mapping) else item.report() for item in reports])
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(_asset("page.html.j2"))
    page: str = template.render(
        title=f"{_title(report)} - hexconv",
        data=_script_json(_page(report)),
        style=_asset("page.css"),
        library=_asset("echarts.min.js"),
        script=_asset("charts.js") + _asset("page.js"),
    )
    return page


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
    return {
        "name": _title(report),
        "hexconv": report["hexconv"],
        "library": report.get("library", ""),
        "error": None if error is None else message(error["what"]),
        "cards": [asdict(card) for card in cards(report)],
        "steps": steps(report),
        "sections": [asdict(section) for section in sections(report)],
        "words": WORDS,
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


WORDS = {
    "next": Text("What to do next", "下一步"),
    "contents": Text("Contents", "目录"),
    "csv": Text("Download CSV", "下载 CSV"),
    "all": Text("Show all {} rows", "显示全部 {} 行"),
    "table": Text("Table", "表格"),
    "link": Text("Link to this section", "本节链接"),
    "language": same("中文 / English"),
    "theme": Text("Light / dark", "浅色 / 深色"),
    "choose": Text("Tensor", "张量"),
    "find": Text("Filter", "筛选"),
    "values": Text("elements", "元素"),
    "start": Text("without rewrites", "没有改写"),
    "end": Text("now", "现在"),
    "library": Text("library", "库"),
    "exact": Text("exact", "完全一致"),
    "silent": Text("no signal", "无信号"),
}
"""What the page itself says."""
