"""Each citation of docs/nnlib, in the code and in the op tables, leads to an anchor that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {page.name: page for page in (ROOT / "docs" / "nnlib").glob("*.md")}
ENGLISH = sorted(name for name in PAGES if not name.endswith(".zh-CN.md"))
CITED = re.compile(r"\b([a-z-]+\.md)#([A-Za-z0-9_-]+)")


def anchors(page: str) -> list[str]:
    """The anchors of a page of docs/nnlib, in order."""
    return re.findall(r'<a id="([^"]+)"></a>', PAGES[page].read_text(encoding="utf-8"))


def citing_files() -> list[Path]:
    """The files that cite: the code, the tests, the benchmarks and the op tables."""
    code = [
        path
        for folder in ("hexconv", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    ]
    return [*code, *(ROOT / "op_tables").rglob("*.yml")]


def test_every_citation_leads_to_an_anchor() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {page}#{anchor}"
        for path in citing_files()
        for page, anchor in CITED.findall(path.read_text(encoding="utf-8"))
        if path != Path(__file__) and (page not in PAGES or anchor not in anchors(page))
    ]
    assert not broken


def test_the_op_tables_cite_the_pages() -> None:
    """The search above finds citations at all."""
    text = "".join(path.read_text("utf-8") for path in (ROOT / "op_tables").rglob("*.yml"))
    assert len(CITED.findall(text)) > 200


def test_no_file_cites_what_is_not_in_the_project() -> None:
    outside = re.compile(r"\bfacts/|quirks \d|shipped [a-j]\)|cost/(?:README|encoder)\.md")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in citing_files()
        for match in outside.finditer(path.read_text(encoding="utf-8"))
        if path != Path(__file__)
    ]
    assert not found


@pytest.mark.parametrize("page", ENGLISH)
def test_the_chinese_page_has_the_same_anchors(page: str) -> None:
    assert anchors(page) == anchors(page.replace(".md", ".zh-CN.md"))


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_between_the_pages_lead_to_anchors(page: str) -> None:
    text = PAGES[page].read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]*)#([^)]+)\)", text)
    assert not [link for link in links if link[1] not in anchors(link[0] or page)]
