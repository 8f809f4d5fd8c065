"""A page of a small network with every section, and what a test finds in it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from hexconv.cli import group
from hexconv.report.html_page import html
from tests.compare.nets import convolutions, samples

EVIL = "</script><script>alert('x')</script>\"'&<b>"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(group, [str(item) for item in arguments])
    assert result.exception is None, result.exception
    return result


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.onnx, x.npy, its conversion in build/ with its page, and verify.json."""
    folder = tmp_path_factory.mktemp("html")
    onnx.save(convolutions(), folder / "net.onnx")
    np.save(folder / "x.npy", np.concatenate([sample["x"] for sample in samples(3)]))
    common = [folder / "net.onnx", "--samples", folder / "x.npy"]
    run("convert", *common, "--explain", "--html", "-q", "-o", folder / "build")
    verified = run("verify", *common, "--test", folder / "x.npy", "--json")
    (folder / "verify.json").write_text(verified.stdout)
    return folder


@pytest.fixture(scope="module")
def full(place: Path) -> Path:
    """A page with every section that needs no phone, and a name that is markup."""
    report, verified = reports(place)
    report["name"] = EVIL
    report["warnings"] = [f"a warning with {EVIL}"]
    report["coverage"]["ok"] = False
    node = {
        "onnx_node": EVIL,
        "onnx_op": "Det",
        "nnlib": [],
        "macs": 0,
        "reason": EVIL,
        "hint": EVIL,
    }
    report["coverage"]["nodes"] = [{**node, "note": ""}]
    verified["accuracy"]["layers"][0]["tensor"] = f"=1+{EVIL}"
    verified["name"] = EVIL
    verified["explanation"] = {"tensors": [noisy(EVIL, 0.7), noisy("second", 0.3)]}
    page = place / "full.html"
    page.write_text(html(report, verified), encoding="utf-8")
    return page


def noisy(tensor: str, share: float) -> dict[str, Any]:
    """A row of `verify --explain`: a tensor that makes a share of the outputs' noise."""
    causes = {"rounding": 0.5, "clipping": 0.1, "weights": 0.3, "arithmetic": 0.1}
    row = {"tensor": tensor, "op": "Supernode_8x8p32to8", "onnx_node": tensor, "share": share}
    return {**row, **causes, "sqnr_if_exact": 40.0}


def reports(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    texts = (place / "build" / "net.report.json", place / "verify.json")
    first, second = (json.loads(path.read_text()) for path in texts)
    return first, second


def embedded(page: str) -> dict[str, Any]:
    """The data of a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return data


class Shown(HTMLParser):
    """What a browser without scripts shows: texts by the id of the element that they are in.

    Attributes:
        texts: of each element with an id, in the order of the page: (text, in the other language).
        tables: rows of the table of each section, headings first.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: dict[str, list[tuple[str, str]]] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self._id, self._other, self._tag = "", "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self._tag, self._id = tag, found.get("id", self._id)
        self._other = found.get("data-other", "")
        if tag == "tr":
            self.tables.setdefault(self._id, []).append([])
        if tag in ("td", "th"):
            self.tables[self._id][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag in ("td", "th"):
            self.tables[self._id][-1][-1] += data
        elif self._tag == "span" and data.strip():
            self.texts.setdefault(self._id, []).append((data, self._other or data))
