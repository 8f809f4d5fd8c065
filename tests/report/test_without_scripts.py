"""The HTML report where no script runs: its first screen and its tables are in the HTML itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hexconv.report.html_page import html
from hexconv.report.page_text import shown
from hexconv.translation import choose

from .browser import needs_chromium, opened
from .conftest import EVIL, Shown, embedded, reports


def test_without_scripts_the_page_has_its_first_screen_and_tables(full: Path) -> None:
    found, data = Shown(full.read_text()), embedded(full.read_text())
    assert found.texts["runs"][1][0] == "No: 1 unsupported"
    assert len(found.texts["next"]) > 1 and found.texts["contents"][-1][0] == "Provenance"
    for section in data["sections"]:
        head, *rows = found.tables[section["id"]]
        assert head == [title[0] for title, _ in section["columns"]]
        assert len(rows) == len(section["rows"])
        for row, values in zip(rows, section["rows"], strict=True):
            assert [bool(cell) for cell in row] == [v not in (None, "", ["", ""]) for v in values]
    assert found.tables["unsupported"][1][0] == EVIL


def test_the_page_is_in_the_language_of_messages(place: Path) -> None:
    choose("zh")
    try:
        page = html(*reports(place))
    finally:
        choose("en")
    assert '<html lang="zh-CN">' in page
    found, english = Shown(page), Shown(html(*reports(place)))
    assert found.texts["runs"] == [(zh, en) for en, zh in english.texts["runs"]]
    assert found.tables["outputs"][1][1] == "校准样本"


FIGURES = {
    "number": [0.0, -3.0, 1e6, 123456.5, 2.5e-4, -1.00005, 1234567.5, 1.5e9 + 0.5, 0.001],
    "integer": [0.5, 2304.5, 1e9],
    "bytes": [0, 1023, 2304, 2.5 * 2**20, 2**33],
    "share": [0.0, 0.0005, 0.00125, 0.125, 1.0],
    "db": [12.25, -0.05, 200.0, -200.0],
}
"""By the kind of their column: halves, large and small ones."""


@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.parametrize("value", [1e21, 1e27, 1e30, -1e308, 2**70, 10**400, 5e-324, float("inf")])
def test_a_figure_of_any_size_has_a_cell(kind: str, value: float) -> None:
    """A report that is read may have any number."""
    assert shown(value, kind) and shown(-value, kind)


@needs_chromium
@pytest.mark.slow
def test_scripts_write_the_same_cells(full: Path) -> None:
    script = f"""
      return Object.entries({json.dumps(FIGURES)}).map(([kind, values]) => [kind,
        values.map((value) => shown(value, kind))]);
    """
    for kind, written in opened(full, script):
        assert written == [shown(value, kind) for value in FIGURES[kind]]


@needs_chromium
@pytest.mark.slow
def test_scripts_make_the_same_tables(full: Path) -> None:
    script = """
      const cells = (root) => [...root.querySelectorAll("tbody tr")].slice(0, FIRST_ROWS).map(
        (row) => [...row.cells].map((cell) => cell.textContent));
      return data.sections.map(({ id }) => {
        const { textContent } = document.querySelector(`#${id} noscript`);
        const without = new DOMParser().parseFromString(textContent, "text/html");
        return [cells(without), cells(document.getElementById(id))];
      });
    """
    found = opened(full, script)
    assert len(found) > 8
    for without, made in found:
        assert without == made and made
