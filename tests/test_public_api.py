"""The public API: names, settings, messages, representations."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from onnx import helper

import hexconv
from hexconv import errors
from hexconv.notebook import html_table
from hexconv.option_names import in_python
from hexconv.settings import Settings, SettingsDict
from tests.lowering.proof import model, numbers

PROTO = model([helper.make_node("Relu", ["x"], ["y"])], {"x": (4, 8)}, ["y"])
FEEDS = {"x": numbers((4, 8))}
CALLER = """
import hexconv
hexconv.convert("a.onnx", optimise="none")
hexconv.convert("a.onnx", optimize="fast")
hexconv.convert_deployment("a.yml", observer="minmax", percentil=1.0)
hexconv.split("a.onnx", float_fallback="yes")
hexconv.verify(hexconv.load("a.pb"), "a.onnx", keep_float=3)
model: hexconv.Model = hexconv.convert("a.onnx", optimize="all", without=["linear"])
"""


@pytest.fixture(scope="module")
def converted() -> hexconv.Model:
    return hexconv.convert(PROTO, samples=[FEEDS])


def test_settings_and_their_keywords_have_the_same_names() -> None:
    assert set(get_type_hints(SettingsDict)) == {item.name for item in fields(Settings)}


@pytest.mark.parametrize(
    "call",
    [
        lambda **s: hexconv.convert(PROTO, samples=[FEEDS], **s),
        lambda **s: hexconv.split(PROTO, **s),
        lambda **s: hexconv.convert_split(PROTO, "y", **s),
        lambda **s: hexconv.verify(hexconv.convert(PROTO, samples=[FEEDS]), PROTO, [FEEDS], **s),
    ],
)
def test_a_misspelled_setting_raises_one_error_with_the_nearest_name(call: Any) -> None:
    with pytest.raises(errors.ConfigError, match="did you mean 'optimize'"):
        call(optimise="none")


@pytest.mark.parametrize("setting", [{"optimize": "fast"}, {"observer": "kl"}])
def test_a_choice_that_is_not_there_names_those_that_are(setting: dict[str, str]) -> None:
    with pytest.raises(errors.ConfigError, match=r"use '(none|auto)'"):
        Settings.of(setting)


@pytest.mark.slow
def test_a_caller_is_checked_by_a_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    caller = tmp_path / "caller.py"
    caller.write_text(CALLER)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    root = Path(hexconv.__file__).parents[1]
    found = subprocess.run(
        [*command, "--follow-imports=silent", str(caller)], cwd=root, capture_output=True, text=True
    )
    lines = {int(line.split(":")[1]) for line in found.stdout.splitlines() if ": error:" in line}
    assert lines == {3, 4, 5, 6, 7}, found.stdout


def test_help_shows_the_public_names_only() -> None:
    assert dir(hexconv) == sorted(hexconv.__all__)
    assert all(getattr(hexconv, name) is not None for name in hexconv.__all__)


def test_a_model_is_shown_in_three_lines(converted: hexconv.Model) -> None:
    assert len(repr(converted).splitlines()) <= 3 and "x 4x8" in repr(converted)


def test_results_have_short_representations(converted: hexconv.Model) -> None:
    cost = hexconv.cost.predict(converted)
    report = hexconv.verify(converted, PROTO, [FEEDS])
    shown = (cost, hexconv.check(PROTO), hexconv.op_table.load(), report, converted.graph)
    assert all(len(repr(item)) < 200 for item in shown)
    assert all("<table>" in item._repr_html_() for item in (converted, *shown[:4]))


def test_names_are_text_in_a_notebook() -> None:
    assert "<script>" not in html_table("<script>", ["a"], [["<script>"]])


def test_a_message_names_keyword_arguments_in_python() -> None:
    error = errors.ConfigError("no", hint="pass --shape a=1,2 --shape b=3, or --optimize none")
    assert 'shapes={"a": (1, 2), "b": (3,)}, or optimize="none"' in str(error)
    assert "--shape a=1,2 --shape b=3" in error.render(cli=True)


@pytest.mark.parametrize(
    "text, spoken",
    [
        ("give --samples, or --ranges", "give samples=, or ranges="),
        ("use --split auto", 'use at="auto"'),
        ("use --split a/b:0,c", "use at=['a/b:0', 'c']"),
        ("--observer percentile", 'observer="percentile"'),
        ("--dry-run", "--dry-run"),
    ],
)
def test_an_option_is_spoken_as_a_keyword(text: str, spoken: str) -> None:
    assert in_python(text) == spoken


def test_what_a_user_must_know_is_a_warning_of_our_own() -> None:
    with pytest.warns(errors.HexconvWarning, match="NO SAMPLES"):
        hexconv.convert(PROTO)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hexconv.convert(PROTO, samples=[FEEDS])


def test_an_unknown_onnx_op_has_a_near_one() -> None:
    with pytest.raises(KeyError, match="MatMul"):
        hexconv.op_table.load()["matmul"]


def test_a_simulated_model_takes_the_version_by_name(converted: hexconv.Model) -> None:
    same = [hexconv.simulate(converted, FEEDS, library=name)["y"] for name in ("v60", "v66")]  # type: ignore[arg-type]
    assert np.array_equal(*same)


@pytest.mark.parametrize(
    ("typed", "meant"), [("sampels", "samples"), ("shape", "shapes"), ("optimise", "optimize")]
)
def test_a_misspelled_argument_names_the_nearest_one(typed: str, meant: str) -> None:
    with pytest.raises(errors.ConfigError) as raised:
        hexconv.convert("model.onnx", **{typed: "x"})  # type: ignore[arg-type]
    assert f"did you mean '{meant}'?" in raised.value.hint
