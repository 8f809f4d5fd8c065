"""The HTML report: self-contained, its names are text, and a browser draws it."""

from __future__ import annotations

import copy
import json
import re
import sys
from pathlib import Path
from typing import Any

import onnx
import onnx.parser
import pytest
from click.testing import CliRunner

import hexconv
from hexconv.cli import group
from hexconv.compare.advice import FALLBACK, TABLES
from hexconv.errors import ConfigError, MissingExtra
from hexconv.report.html_page import html
from hexconv.report.page_text import WORDS
from hexconv.report.sections import sections
from hexconv.schema import document
from hexconv.tensor_ranges import SYNTHETIC_WARNING

from .browser import needs_chromium, opened
from .conftest import EVIL, Shown, embedded, reports, run

CARDS = ["runs", "good", "fast"]
SMALL = 3_000_000


def test_convert_writes_a_page_beside_the_model(place: Path) -> None:
    text = (place / "build" / "net.report.html").read_text()
    assert len(text.encode()) < SMALL
    assert embedded(text)["name"] == "net"
    found = Shown(text)
    assert [name for name in found.texts if name in CARDS] == CARDS
    sections = {"outputs", "nodes", "layers", "memory", "rewrites", "provenance"}
    assert sections <= found.tables.keys() == ids(place / "build" / "net.report.html")


def test_the_page_loads_nothing_from_elsewhere(full: Path) -> None:
    text = full.read_text()
    assert "default-src 'none'" in text
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", markup)
    assert "@import" not in text and "url(" not in re.search(
        r"<style>(.*?)</style>", text, re.DOTALL
    ).group(1)  # type: ignore[union-attr]


def test_a_name_cannot_end_the_script(full: Path) -> None:
    text = full.read_text()
    assert text.count("<script") == 3 and "alert('x')</script>" not in text
    assert embedded(text)["name"] == EVIL


def test_the_share_of_the_outputs_noise_has_a_chart(full: Path) -> None:
    noise = next(item for item in embedded(full.read_text())["sections"] if item["id"] == "noise")
    (series,) = noise["chart"]["series"]
    assert noise["columns"][series] == [["share of the noise", "占噪声的比例"], "share"]
    assert [row[series] for row in noise["rows"]] == [0.7, 0.3] and noise["rows"][0][0] == EVIL


def test_the_same_report_is_the_same_page(place: Path) -> None:
    assert html(*reports(place)) == html(*copy.deepcopy(reports(place)))


def test_every_text_is_in_both_languages(place: Path) -> None:
    made = sections(html_report(place))
    texts = [text for item in made for text in (item.title, item.note)]
    texts += [column.title for item in made for column in item.columns]
    assert all(text.en and text.zh for text in [*texts, *WORDS.values()])
    assert all(re.search("[\u4e00-\u9fff]", item.title.zh) for item in made)


def test_advice_warnings_and_reasons_are_chinese_in_the_chinese_page(place: Path) -> None:
    report, verified = reports(place)
    softmax = next(text for ops, text in TABLES if "Softmax" in ops)
    verified["accuracy"]["layers"][0]["advice"] = [softmax, FALLBACK]
    report["warnings"] = [SYNTHETIC_WARNING]
    graph = onnx.parser.parse_graph("g (float[2,2] x) => (float y) {y = Det(x)}")
    report["coverage"] = hexconv.check(onnx.helper.make_model(graph)).to_dict()
    page = html(report, verified)
    rows = {section["id"]: section["rows"] for section in embedded(page)["sections"]}
    texts = Shown(page).texts
    for text in (
        next(row[-1] for row in rows["layers-error"] if row[-1][0]),
        rows["warnings"][0][0],
        rows["unsupported"][0][2],
        texts["next"][-2],
        *(texts[card][-1] for card in CARDS),
    ):
        assert re.search("[a-z]{3,} [a-z]{2,}", text[0]), "the English one is prose"
        assert re.search("[\u4e00-\u9fff]", text[1])
        assert not re.search("[a-z]{3,} [a-z]{2,} [a-z]{2,}", text[1]), text


def html_report(place: Path) -> dict[str, Any]:
    from hexconv.report.html_page import merged

    return merged(reports(place))


def test_verify_and_cost_write_pages_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    run("verify", "net.onnx", "--samples", "x.npy", "-q", "--html")
    assert {"layers-error", "ranges"} <= ids(place / "net.report.html")
    origin = ["--model", "build/net.pb", "--float", "net.onnx"]
    run("verify", *origin, "--test", "x.npy", "-q", "--html")
    assert {"layers-error", "provenance"} <= ids(place / "build" / "net.report.html")
    run("cost", "build/net.pb", "-q", "--html", "--soc", "sd845")
    texts = Shown((place / "build" / "net.report.html").read_text()).texts
    assert "SD845" in texts["fast"][-1][0]
    run("cost", "net.onnx", "-q", "--html")
    assert ids(place / "net.report.html") == {"graph", "nodes", "layers", "memory", "provenance"}


@pytest.mark.parametrize("stem, name", [("my-net.v2", "my_net_v2"), ("double", "model_double")])
def test_every_command_names_the_page_of_an_onnx_model_as_its_conversion_is_named(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stem: str, name: str
) -> None:
    (tmp_path / f"{stem}.onnx").write_bytes((place / "net.onnx").read_bytes())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    model, samples = tmp_path / f"{stem}.onnx", ["--samples", place / "x.npy"]
    commands = {
        "convert": ["convert", model, *samples, "--no-accuracy", "-o", "."],
        "cost": ["cost", model],
        "verify": ["verify", model, *samples],
    }
    for command in commands.values():
        run(*command, "--html", "-q")
        page = Path(f"{name}.report.html")
        assert [path.name for path in Path().glob("*.html")] == [page.name], command
        page.unlink()


def ids(page: Path) -> set[str]:
    return {section["id"] for section in embedded(page.read_text())["sections"]}


def test_report_joins_what_commands_printed(place: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    run("report", place / "build" / "net.pb", place / "verify.json", "--html", target)
    data = embedded(target.read_text())
    outputs = next(item for item in data["sections"] if item["id"] == "outputs")
    assert {row[1][0] for row in outputs["rows"]} == {"calibration samples", "held-out samples"}
    assert all(row[4] is not None for row in outputs["rows"])  # of convert: what 8 bits allow
    (place / "build" / "net.report.html").unlink()
    run("report", place / "build" / "net.pb", "-q")
    assert (place / "build" / "net.report.html").exists()


def test_a_report_of_another_model_is_not_shown(place: Path, tmp_path: Path) -> None:
    for suffix in (".pb", ".data"):
        (tmp_path / f"net{suffix}").write_bytes((place / "build" / f"net{suffix}").read_bytes())
    stored = reports(place)[0]
    (tmp_path / "net.report.json").write_text(json.dumps({**stored, "consts": 1}))
    run("report", tmp_path / "net.pb", "-q")
    page = (tmp_path / "net.report.html").read_text()
    assert "good" not in Shown(page).texts
    assert told(embedded(page)) == ["net.report.json is not shown: it is of another model"]
    del stored["conversion"]["samples"]
    (tmp_path / "net.report.json").write_text(json.dumps(stored))
    run("report", tmp_path / "net.pb", "-q")
    (warning,) = told(embedded((tmp_path / "net.report.html").read_text()))
    assert "'samples' is a required property" in warning
    (tmp_path / "net.report.json").unlink()
    run("report", tmp_path / "net.pb", "-q")
    assert not told(embedded((tmp_path / "net.report.html").read_text()))


def told(page: dict[str, Any]) -> list[str]:
    """The warnings of a page, in English."""
    return [s["rows"][0][0][0] for s in page["sections"] if s["id"] == "warnings"]


def test_reports_of_different_models_are_not_joined(place: Path) -> None:
    first, second = reports(place)
    with pytest.raises(ConfigError, match="different models: 'net', 'other'"):
        html(first, {**second, "name": "other"})


def test_a_report_file_alone_has_its_page_beside_it(place: Path, tmp_path: Path) -> None:
    for name in ("a.b.report.json", "c.d.json"):
        (tmp_path / name).write_text(json.dumps(reports(place)[0]))
        run("report", tmp_path / name, "-q")
    pages = {path.name for path in tmp_path.glob("*.html")}
    assert pages == {"a.b.report.html", "c.d.report.html"}


def test_an_error_has_a_page(place: Path) -> None:
    error = {"type": "ModelError", "exit_code": 1, "what": EVIL, "where": "", "why": "", "hint": ""}
    page = html(document("error", {"error": {**error, "unsupported": []}}))
    assert Shown(page).texts["cards"] == [(EVIL, EVIL)]


def test_without_jinja2_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = CliRunner().invoke(group, ["convert", "gone.onnx", "--html"])
    assert isinstance(result.exception, MissingExtra) and "[report]" in str(result.exception)


HERE = Path(__file__).parent
LAYOUT = (HERE / "layout.js").read_text()


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("width", [500, 1280, 1920])
def test_a_browser_draws_every_chart_within_its_width(full: Path, width: int) -> None:
    found = opened(full, LAYOUT, width=width)
    assert found["nodes"] == len(reports(full.parent)[0]["cost"]["nodes"]) and found["edges"] > 3
    assert len(found["charts"]) >= 6 and all(drawn > 3 for drawn in found["charts"])
    assert found["wide"] <= 0
    assert found["links"] and all(found["links"])
    assert width < 1000 or found["first"] < 800, "the first screen has what to do next"


@needs_chromium
@pytest.mark.slow
def test_the_first_screen_does_not_wait_for_what_is_below_it(full: Path) -> None:
    script = """
      const cells = () => document.querySelectorAll("td").length;
      const { dataset } = document.documentElement;
      build();
      const found = { cards: document.querySelectorAll(".card").length, cells: [cells()] };
      while (dataset.filled === "no") { fillNext(); found.cells.push(cells()); }
      build();
      document.querySelector('nav a[href="#ranges"]').click();
      return { ...found, linked: cells() };
    """
    found = opened(full, script)
    first, *steps = found["cells"]
    assert found["cards"] >= 3 and first == 0
    assert len(set(steps)) > 8 and steps == sorted(steps), "one section after the other"
    assert found["linked"] == steps[-1] > 50, "a link into the page makes all of it"


ACTIONS = (HERE / "actions.js").read_text()


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 160, 360])
def test_a_narrow_screen_scrolls_one_way_only(full: Path, width: int) -> None:
    frame = f'<iframe src="full.html" style="width: {width}px; height: 800px"></iframe>'
    wrapper = full.with_name("phone.html")
    wrapper.write_text(f"<!doctype html><body>{frame}</body>")
    script = "const root = frames[0].document.documentElement;"
    client, scroll = opened(wrapper, f"{script} return [root.clientWidth, root.scrollWidth];")
    assert width - 20 <= client <= width and scroll <= client


@needs_chromium
@pytest.mark.slow
def test_a_reader_sorts_switches_language_and_theme_and_follows_links(full: Path) -> None:
    found = opened(full, ACTIONS, address="#ranges")
    assert found["title"] == EVIL and found["warning"].endswith(EVIL) and not found["markup"]
    assert found["english"] == "Where the time goes" and found["chinese"] == "时间用在何处"
    assert found["lang"] == "zh-CN" and found["themed"] and found["focused"] == "language"
    assert found["sort"] == "ascending" and len(found["ascending"]) > 3
    assert found["descending"] == found["ascending"][::-1]
    assert found["histogram"] > 10 and found["tabbable"]
    assert found["paper"] and found["printed"] and found["screen"], "paper is light"
    assert -10 <= found["linked"] <= 100, "the address leads to its section"
    assert "'=1+" in found["csv"] and '""' in found["csv"]  # no formula, quotes doubled
