"""What CI reads: exit codes, differences of reports, JUnit XML, step summaries."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import yaml
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

import hexconv
from hexconv.cli import group
from hexconv.errors import ConfigError, FileError, FloorError, HexconvError
from hexconv.report import junit_xml, markdown
from hexconv.schema import document, error_document
from tests.compare.nets import convolutions, samples

ROOT = Path(hexconv.__file__).parents[1]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(group, [str(item) for item in arguments])


def cases(path: Path) -> dict[str, bool]:
    """Of each test of a JUnit file whether it passed, by its name."""
    root = ElementTree.parse(path).getroot()
    found = {item.get("name", ""): item.find("failure") is None for item in root.iter("testcase")}
    assert root.get("tests") == str(len(list(root.iter("testcase"))))
    assert root.get("failures") == str(sum(not passed for passed in found.values()))
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.onnx, x.npy, and two conversions: all/ and none/ of the rewrites."""
    folder = tmp_path_factory.mktemp("ci")
    onnx.save(convolutions(), folder / "net.onnx")
    np.save(folder / "x.npy", np.concatenate([sample["x"] for sample in samples(3)]))
    source, data = folder / "net.onnx", folder / "x.npy"
    for name, level in (("all", "default"), ("none", "none")):
        options = ["--samples", data, "--optimize", level, "-q", "-o", folder / name]
        assert run("convert", source, *options).exit_code == 0
    return folder


@pytest.fixture
def place(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as the current folder, and one to write to."""
    monkeypatch.chdir(built)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return tmp_path


REPORT = "all/net.report.json"


def changed(place: Path, **changes: Any) -> Path:
    """The report with some figures changed."""
    found = json.loads(Path(REPORT).read_text())
    found["cost"]["packets"] += changes.get("packets", 0)
    found["accuracy"]["outputs"][0]["calibration"]["sqnr"] += changes.get("sqnr", 0.0)
    if changes.get("unmeasured"):
        found["accuracy"] = None
    path = place / "changed.report.json"
    path.write_text(json.dumps(found))
    return path


def test_a_report_is_not_worse_than_itself(place: Path) -> None:
    result = run("diff", REPORT, REPORT, "--fail-if-worse")
    assert result.exit_code == 0 and "0 worse" in result.stdout


def test_two_conversions_differ_in_what_was_rewritten(place: Path) -> None:
    result = run("diff", REPORT, "none/net.report.json", "--json")
    told = json.loads(result.stdout)["diff"]
    by = {(row["figure"], row["of"]): row for row in told["changes"]}
    assert by["packets", ""]["change"] == by["packets", ""]["new"] - by["packets", ""]["old"]
    assert ("sqnr", "scores (calibration)") in by and ("mac_share", "") in by
    back = json.loads(run("diff", "none/net.report.json", REPORT, "--json").stdout)["diff"]
    assert [row["change"] for row in back["changes"]] == [-row["change"] for row in told["changes"]]


@pytest.mark.parametrize(
    ("changes", "allow", "worse"),
    [
        ({"packets": 1}, (), "packets is"),
        ({"packets": -1}, (), None),
        ({"packets": 1}, ("--allow", "packets=1"), None),
        ({"packets": 100}, ("--allow", "packets=50%"), None),
        ({"packets": 10**9}, ("--allow", "packets=50%"), "packets is"),
        ({"sqnr": -0.04}, (), None),
        ({"sqnr": -0.2}, (), "sqnr of scores (calibration) is"),
        ({"sqnr": -0.2}, ("--allow", "sqnr=0.5"), None),
        ({"sqnr": -0.6}, ("--allow", "sqnr=0.5,packets=3"), "sqnr of scores"),
        ({"sqnr": 3.0}, (), None),
        ({"unmeasured": True}, (), "is -, was"),
    ],
)
def test_only_what_is_worse_fails(
    place: Path, changes: dict[str, Any], allow: tuple[str, ...], worse: str | None
) -> None:
    result = run("diff", REPORT, changed(place, **changes), "--fail-if-worse", *allow, "-q")
    if worse is None:
        assert (result.exit_code, result.output) == (0, "")
    else:
        assert isinstance(result.exception, FloorError) and worse in result.exception.why
    assert run("diff", REPORT, changed(place, **changes), *allow).exit_code == 0


@pytest.mark.parametrize(
    ("quantized", "allow", "worse"),
    [
        (0.25, (), False),
        (0.30, (), False),  # nearer to the float model's
        (0.20, (), True),
        (0.60, (), True),
        (0.20, ("--allow", "metric_error=0.1"), False),
        (0.60, ("--allow", "metric_error=100%"), True),
    ],
)
def test_metrics_are_shown_and_may_not_leave_the_float_models(
    place: Path, quantized: float, allow: tuple[str, ...], worse: bool
) -> None:
    files = []
    for name, value in (("old", 0.25), ("new", quantized)):
        found = json.loads(Path(REPORT).read_text())
        pair = {"float_model": 0.35, "quantized": value}
        row = {"name": "wer", "calibration": None, "held_out": pair}
        found["accuracy"]["metrics"] = [row]
        files.append(place / f"{name}.report.json")
        files[-1].write_text(json.dumps(found))
    shown = json.loads(run("diff", *files, "--json").stdout)["diff"]["changes"]
    by = {row["figure"]: row for row in shown if row["of"] == "wer (held-out)"}
    assert (by["metric"]["old"], by["metric"]["new"]) == (0.25, quantized)
    assert by["metric_error"]["new"] == pytest.approx(abs(0.35 - quantized))
    result = run("diff", *files, "--fail-if-worse", *allow)
    assert isinstance(result.exception, FloorError) == worse
    if worse:
        assert "metric_error of wer (held-out)" in str(result.exception.why)


def test_reports_of_different_commands_are_compared_by_what_both_have(place: Path) -> None:
    path = place / "cost.json"
    path.write_text(run("cost", "all/net.pb", "--json").stdout)
    result = run("diff", REPORT, path, "--fail-if-worse")
    assert result.exit_code == 0 and "0 worse" in result.stdout
    check = place / "check.json"
    check.write_text(run("check", "net.onnx", "--json").stdout)
    result = run("diff", check, path)
    assert isinstance(result.exception, ConfigError) and "no figure in common" in str(
        result.exception
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read"),
        ("", "not JSON"),
        ("[1]", "no schema_version"),
        ('{"name": "net"}', "no schema_version"),
        ('{"schema_version": 1, "kind": "cost", "hexconv": "1"}', "'source' is a required"),
    ],
)
def test_a_file_that_is_no_report_is_named(place: Path, text: str | None, told: str) -> None:
    path = place / "bad.json"
    if text is not None:
        path.write_text(text)
    error = run("diff", REPORT, path).exception
    assert isinstance(error, FileError) and error.exit_code == 2
    assert told in str(error) and "bad.json" in str(error)


def test_reports_of_models_without_an_output_in_common_are_not_compared(
    place: Path, tmp_path: Path
) -> None:
    report = json.loads(Path("all/net.report.json").read_text())
    report["accuracy"]["outputs"][0]["name"] = "logits"
    other = tmp_path / "other.report.json"
    other.write_text(json.dumps(report))
    error = run("diff", "all/net.report.json", other, "--fail-if-worse").exception
    assert isinstance(error, ConfigError) and error.exit_code == 2
    assert "different models" in str(error) and "scores" in error.why and "logits" in error.why


@pytest.mark.parametrize("allow", ["sqnr", "sqnr=-1", "snr=3", "packets=x%", "sqnr=nan"])
def test_a_malformed_allowance_is_wrong_usage(place: Path, allow: str) -> None:
    result = run("diff", REPORT, REPORT, "--allow", allow)
    assert result.exit_code == 2 and "sqnr=0.5 or packets=1%" in result.output


def test_a_threshold_is_a_test_of_junit(place: Path) -> None:
    arguments = ["verify", "net.onnx", "--samples", "x.npy", "-q", "--junit", place / "v.xml"]
    run(*arguments, "--fail-below", "sqnr=1,cosine=2")
    assert cases(place / "v.xml") == {
        "runs": True,
        "sqnr scores (calibration)": True,
        "cosine scores (calibration)": False,
    }
    result = run(
        "cost", "all/net.pb", "-q", "--fail-above", "packets=1", "--junit", place / "c.xml"
    )
    assert isinstance(result.exception, FloorError)
    assert cases(place / "c.xml") == {"runs": True, "packets": False}


def test_every_node_of_check_is_a_test(place: Path) -> None:
    save_unsupported(place / "bad.onnx", 'det "<script>"')
    result = run("check", place / "bad.onnx", "-q", "--junit", place / "check.xml")
    assert result.exit_code == 1
    assert cases(place / "check.xml") == {"runs": True, 'det "<script>"': False}


def test_an_error_is_a_test_that_fails(place: Path) -> None:
    result = run("convert", "gone.onnx", "--junit", place / "error.xml")
    assert isinstance(result.exception, FileError)
    assert cases(place / "error.xml") == {"runs": False}
    save_unsupported(place / "bad.onnx", "det")
    run("convert", place / "bad.onnx", "-o", place, "--junit", place / "bad.xml")
    assert cases(place / "bad.xml") == {"runs": False, "det": False}


@pytest.mark.parametrize("target", ["", ".", "net.onnx/j.xml"])
def test_a_junit_file_that_cannot_be_is_an_error_before_the_work(
    place: Path, target: str, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    result = run("convert", "net.onnx", "--samples", "x.npy", "-o", made, f"--junit={target}")
    assert isinstance(result.exception, ConfigError | FileError)
    assert not made.exists()


def test_an_error_after_the_figures_is_a_test_too(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise HexconvError("the page is full")

    monkeypatch.setattr("hexconv.cli._verify_page.page", fails)
    run("verify", "net.onnx", "--samples", "x.npy", "--junit", place / "late.xml")
    assert cases(place / "late.xml") == {"runs": False}


def test_levels_and_nodes_that_break_are_tests_that_fail(place: Path) -> None:
    row = {"what": "x x 0", "output": "y", "sqnr": 1.0, "steps": 9.0, "error": ""}
    rows = [{**row, "broken": True}, {**row, "output": "z", "broken": False}]
    (place / "levels.xml").write_bytes(junit_xml(document("levels", {"rows": rows})))
    assert cases(place / "levels.xml") == {"runs": True, "y at x x 0": False, "z at x x 0": True}
    nodes = [{"name": n, "op": "Add", "verdict": v} for n, v in (("a", "exact"), ("b", "differs"))]
    (place / "nodes.xml").write_bytes(junit_xml(document("compare", {"nodes": nodes})))
    assert cases(place / "nodes.xml") == {"runs": True, "a": True, "b": False}


def test_the_same_tests_are_the_same_bytes(place: Path) -> None:
    for name in ("one.xml", "two.xml"):
        run("diff", REPORT, "none/net.report.json", "-q", "--junit", place / name)
    assert (place / "one.xml").read_bytes() == (place / "two.xml").read_bytes()


def test_a_summary_is_appended_to_the_steps_file(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(place / "summary.md"))
    assert run("cost", "all/net.pb", "-q", "--summary").exit_code == 0
    assert run("verify", "net.onnx", "--samples", "x.npy", "-q", "--summary").exit_code == 0
    assert run("diff", REPORT, "none/net.report.json", "-q", "--summary").exit_code == 0
    run("check", "gone.onnx", "--summary")
    text = (place / "summary.md").read_text()
    for part in ("hexconv cost", "| packets |", "hexconv verify net", "SQNR dB", "❌", "gone.onnx"):
        assert part in text, part


def test_a_summary_without_its_variable_is_wrong_usage(place: Path) -> None:
    error = run("check", "net.onnx", "--summary").exception
    assert isinstance(error, ConfigError) and "GITHUB_STEP_SUMMARY" in str(error)


def test_names_in_a_summary_are_text() -> None:
    name = "a|b`<script>alert(1)</script>*_\n# x"
    error = HexconvError(f"no {name}", where=name, hint="")
    text = markdown(error_document(error))
    assert "<script>" not in text and "\n# x" not in text and "\\|" in text
    assert b"<script>" not in junit_xml(error_document(error))


def test_control_characters_leave_xml_readable() -> None:
    error = HexconvError("bad\x00name\x1b[31m\ud800")
    root = ElementTree.fromstring(junit_xml(error_document(error)))
    assert next(root.iter("failure")).get("message") == "bad?name?[31m?"


def test_a_summary_without_sections_is_a_heading() -> None:
    assert markdown(document("ops", {"ops": {}})) == "### hexconv ops\n\n"


def save_unsupported(path: Path, name: str) -> None:
    info = helper.make_tensor_value_info
    node = helper.make_node("Det", ["x"], ["y"], name=name)
    ends = info("x", TensorProto.FLOAT, [1, 3, 3]), info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([node], "g", [ends[0]], [ends[1]])
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["ci.md", "ci.zh-CN.md"])
def test_the_workflow_of_the_page_works_as_pasted(built: Path, tmp_path: Path, page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    workflow = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    once = re.findall(r"(?m)^    ((?:hexconv convert model|cp build).*)$", text)
    steps = [step["run"] for step in workflow["jobs"]["model"]["steps"] if "run" in step]
    own = [step for step in steps if not step.startswith("pip ")]
    assert len(once) >= 4 and len(own) == 6
    (tmp_path / "model.onnx").write_bytes((built / "net.onnx").read_bytes())
    for folder in ("calib", "held_out"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.npy").write_bytes((built / "x.npy").read_bytes())
    command = f'hexconv() {{ {sys.executable} -m hexconv "$@"; }}\n'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GITHUB_STEP_SUMMARY": "summary.md"}
    made = [line for line in once if "model.onnx --ranges model.ranges -q -o build/ #" not in line]
    for script in ("\n".join(made), *own):
        ran = subprocess.run(
            ["bash", "-e", "-c", command + script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, f"{script}\n{ran.stderr}"
        assert "warning" not in ran.stderr
    assert len(list((tmp_path / "junit").glob("*.xml"))) == 5
    assert (tmp_path / "summary.md").read_text().count("### hexconv") == 5
