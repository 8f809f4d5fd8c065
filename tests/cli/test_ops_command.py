"""`hexconv ops` and the pages made from it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hexconv.cli import group
from hexconv.op_table import load

DOCS = Path(__file__).parents[2] / "docs"


def run(*args: str) -> Result:
    return CliRunner().invoke(group, ["ops", *args])


def test_the_whole_table_lists_every_op() -> None:
    result = run()
    assert result.exit_code == 0
    assert "MatMul" in result.output and "NonMaxSuppression" in result.output
    assert f"{len(load())} ops" in result.output and len(result.output.splitlines()) < 10


def test_wide_has_a_row_an_op() -> None:
    assert len(run("--wide").output.splitlines()) == len(load()) + 1


def test_unsupported_ops_are_listed_with_reason_and_hint() -> None:
    text = run("--unsupported").output
    assert "NonMaxSuppression: " in text and "what to do: " in text and "MatMul: " not in text


def test_the_table_is_printed_in_chinese() -> None:
    result = run("--wide", "--lang", "zh")
    assert result.exit_code == 0 and "查表" in result.output and "不支持" in result.output


def test_json_is_the_table() -> None:
    assert json.loads(run("--format", "json").output)["ops"] == load().to_dict()
    assert run("--json").output == run("--format", "json").output


def test_csv_has_a_line_an_op() -> None:
    lines = list(csv.reader(io.StringIO(run("--format", "csv").output)))
    assert len(lines) == len(load()) + 1
    assert {len(line) for line in lines} == {8}


def test_one_onnx_op_in_full() -> None:
    result = run("MatMul")
    assert result.exit_code == 0
    for text in ("QuantizedMatMul_8x8to32", "QuantizedBatchMatMul_8x8to32", "Requantize_32to8"):
        assert text in result.output


def test_one_op_of_the_library_in_full() -> None:
    result = run("QuantizedMul_8x8to8")
    assert result.exit_code == 0
    assert "out_min?" in result.output and "id 304" in result.output
    entry = json.loads(run("QuantizedMul_8x8to8", "--json").output)["op"]
    assert entry["id"] == 304 and entry["counts"] == [6, 8]


@pytest.mark.parametrize("name", ["matmul", "MATMUL", "quantizedmul_8X8TO8"])
def test_case_does_not_matter(name: str) -> None:
    assert run(name).exit_code == 0


def test_an_unknown_name_is_a_usage_error_with_the_nearest_names() -> None:
    result = run("MatMull")
    assert result.exit_code == 2
    assert "no ONNX op and no op of the library is named 'MatMull'" in result.output
    assert "MatMul" in result.output.split("did you mean")[1]
    assert "Traceback" not in result.output


@pytest.mark.parametrize("page, lang", [("ops.md", "en"), ("ops.zh-CN.md", "zh")])
def test_the_documentation_page_is_current(page: str, lang: str) -> None:
    """Run `make docs`, or the command that the page names, when this fails."""
    written = (DOCS / page).read_text(encoding="utf-8")
    assert written == run("--format", "md", "--lang", lang).output
