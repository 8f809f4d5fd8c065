"""Every document is of the schema, each of its keys is described, and the pages list them."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from onnx import TensorProto, helper

import hexconv
from benchmarks import schema_page
from hexconv.cli import group
from hexconv.errors import FileError
from hexconv.schema import check_document, document, schema, to_json
from tests.compare.nets import convolutions, samples

ROOT = Path(hexconv.__file__).parents[1]


def closed(node: Any) -> Any:
    """The schema without room for keys that it does not list."""
    if isinstance(node, dict):
        node = {key: closed(value) for key, value in node.items()}
        if "properties" in node and "if" not in node and "const" not in str(node.get("kind")):
            node.setdefault("additionalProperties", False)
    return [closed(item) for item in node] if isinstance(node, list) else node


def strict() -> Draft202012Validator:
    whole = copy.deepcopy(dict(schema()))
    conditions = whole.pop("allOf")
    return Draft202012Validator({**closed(whole), "allOf": conditions})


def valid(text: str, kind: str) -> dict[str, Any]:
    """The document of an output, validated with and without room for more keys."""
    found: dict[str, Any] = json.loads(text)
    check_document(found, "stdout")
    strict().validate(found)
    assert found["kind"] == kind and found["hexconv"] == hexconv.__version__
    return found


def run(*arguments: object) -> str:
    result = CliRunner().invoke(group, [str(item) for item in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.stdout


def process(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hexconv", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def unsupported(folder: Path) -> None:
    """bad.onnx: an op that the DSP lacks; foreign.onnx: one that is not ONNX's."""
    for name, op, domain in (("bad", "Det", ""), ("foreign", "Strange", "mine")):
        nodes = [helper.make_node(op, ["x"], ["y"], name="node", domain=domain)]
        info = helper.make_tensor_value_info
        ends = info("x", TensorProto.FLOAT, [1, 3, 3]), info("y", TensorProto.FLOAT, [1])
        graph = helper.make_graph(nodes, "g", [ends[0]], [ends[1]])
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets), folder / f"{name}.onnx")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.onnx, x.npy, and what `convert` made of them in build/."""
    folder = tmp_path_factory.mktemp("schema")
    onnx.save(convolutions(), folder / "net.onnx")
    np.save(folder / "x.npy", np.concatenate([sample["x"] for sample in samples(3)]))
    text = run(
        "convert",
        folder / "net.onnx",
        "--samples",
        folder / "x.npy",
        "-o",
        folder / "build",
        "--json",
    )
    (folder / "convert.json").write_text(text)
    return folder


def test_the_schema_is_a_json_schema_and_describes_every_key() -> None:
    Draft202012Validator.check_schema(schema())
    for name, definition in {"": schema(), **schema()["$defs"]}.items():
        for key, item in definition["properties"].items():
            texts = item.get("description"), item.get("description-zh")
            assert all(texts) or "$ref" in item, f"{name}.{key}"


def test_convert_prints_what_it_writes_and_the_files(place: Path) -> None:
    printed = valid((place / "convert.json").read_text(), "convert")
    text = (place / "build" / "net.report.json").read_text()
    written = valid(text, "convert")
    assert {**written, "files": printed["files"]} == printed
    assert text == to_json(written)
    assert str(place / "build" / "net.report.json") in printed["files"]


def test_a_report_has_provenance_accuracy_and_cost(place: Path) -> None:
    found = json.loads((place / "build" / "net.report.json").read_text())
    did = found["conversion"]
    assert did["samples"]["count"] == 3 and did["samples"]["source"] == str(place / "x.npy")
    assert len(did["sha256"]) == len(did["samples"]["sha256"]) == 64 and did["ranges"] is None
    assert did["settings"]["optimize"] == "default" and did["library"] == found["library"] == "v66"
    (output,) = found["accuracy"]["outputs"]
    assert output["calibration"]["sqnr"] > 20 and output["random"] is None
    assert sum(row["packets"] for row in found["cost"]["nodes"]) == pytest.approx(
        found["cost"]["packets"], abs=1
    )
    assert found["coverage"] == {"ok": True, "node_share": 1.0, "mac_share": 1.0}
    assert sum(did["macs"].values()) > 0


def test_the_checksum_of_samples_is_that_of_their_values(place: Path) -> None:
    made = [
        hexconv.convert(str(place / "net.onnx"), samples=source).conversion.samples
        for source in (str(place / "x.npy"), samples(3), samples(2))
    ]
    assert made[0].sha256 == made[1].sha256 != made[2].sha256
    assert [item.source for item in made] == [str(place / "x.npy"), "", ""]


def test_python_saves_a_report_with_its_cost(place: Path, tmp_path: Path) -> None:
    model = hexconv.convert(str(place / "net.onnx"), ranges=str(place / "build" / "net.ranges"))
    model.save(tmp_path)
    found = valid((tmp_path / "net.report.json").read_text(), "convert")
    assert found == json.loads(json.dumps(model.report()))
    assert found["cost"]["packets"] > 0 and found["accuracy"] is None
    assert found["conversion"]["ranges"]["source"].endswith("net.ranges")
    loaded = hexconv.load(tmp_path / "net.pb").report()
    assert loaded["conversion"] is None and loaded["cost"] == found["cost"]


def test_random_ranges_are_told_apart(place: Path, tmp_path: Path) -> None:
    found = valid(run("convert", place / "net.onnx", "-o", tmp_path, "--json"), "convert")
    assert found["accuracy"]["outputs"][0]["calibration"] is None
    assert found["accuracy"]["outputs"][0]["random"]["samples"] == 4
    assert found["conversion"]["samples"] is None


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("check", ["check", "net.onnx"]),
        ("verify", ["verify", "net.onnx", "--samples", "x.npy", "--test", "x.npy"]),
        ("levels", ["verify", "net.onnx", "--samples", "x.npy", "--levels"]),
        ("cost", ["cost", "build/net.pb", "--compare", "build/net.pb"]),
        ("cost", ["cost", "net.onnx", "--soc", "sd845"]),
        ("socs", ["cost", "--soc", "list"]),
        ("simulate", ["simulate", "build/net.pb", "--input", "x.npy"]),
        ("calibrate", ["calibrate", "net.onnx", "--samples", "x.npy", "-o", "net.ranges"]),
        ("qdq", ["convert", "net.onnx", "--samples", "x.npy", "--to", "qdq", "-o", "qdq"]),
        ("exact", ["exact", "build/net.pb", "-o", "net.dsp.onnx"]),
        ("ops", ["ops"]),
        ("op", ["ops", "MatMul"]),
        ("op", ["ops", "QuantizedMul_8x8to8"]),
        ("phone-plan", ["phone", "plan", "build/net.pb"]),
    ],
)
def test_what_a_command_prints_is_of_the_schema(
    place: Path, monkeypatch: pytest.MonkeyPatch, kind: str, arguments: list[str]
) -> None:
    monkeypatch.chdir(place)
    found = valid(run(*arguments, "--json"), kind)
    assert set(found) > {"schema_version", "kind", "hexconv"}


def test_the_same_thing_has_the_same_name_everywhere(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    converted = json.loads((place / "convert.json").read_text())
    cost = json.loads(run("cost", "build/net.pb", "--json"))["cost"]
    assert {**converted["cost"], "nodes": []} == {**cost, "nodes": []}
    verified = json.loads(run("verify", "net.onnx", "--samples", "x.npy", "--json"))
    assert set(verified["accuracy"]) == set(converted["accuracy"])
    mine, theirs = (item["accuracy"]["outputs"][0] for item in (converted, verified))
    assert set(mine) == set(theirs)
    assert mine["calibration"]["sqnr"] == theirs["calibration"]["sqnr"]
    layer, node = verified["accuracy"]["layers"][0], converted["cost"]["nodes"][0]
    assert {"name", "op", "onnx_node"} <= set(layer) & set(node)


@pytest.mark.parametrize(
    ("code", "kind", "arguments"),
    [
        (2, "FileError", ["convert", "gone.onnx", "--json"]),
        (2, "FileError", ["simulate", "gone.pb", "--input", "x.npy", "--json"]),
        (2, "UsageError", ["convert", "--json"]),
        (2, "UsageError", ["cost", "--json", "--soc", "sd855", "--unknown"]),
        (2, "UsageError", ["conver", "--json"]),
        (2, "ConfigError", ["cost", "net.onnx", "--soc", "sd1", "--json"]),
        (1, "UnsupportedOpErrors", ["convert", "bad.onnx", "--json"]),
        (1, "UnsupportedOpError", ["convert", "foreign.onnx", "--json"]),
        (3, "FloorError", ["convert", "net.onnx", "--strict", "--json"]),
    ],
)
def test_an_error_is_a_document_too(
    place: Path, code: int, kind: str, arguments: list[str]
) -> None:
    unsupported(place)
    result = process(*arguments, cwd=place)
    assert result.returncode == code, result.stderr
    told = valid(result.stdout, "error")["error"]
    assert (told["type"], told["exit_code"]) == (kind, code)
    assert told["what"] in result.stderr and "Traceback" not in result.stderr
    named = [row["onnx_op"] for row in told["unsupported"]]
    assert named == {"UnsupportedOpErrors": ["Det"], "UnsupportedOpError": ["mine::Strange"]}.get(
        kind, []
    )


def test_a_threshold_that_is_missed_leaves_one_document(place: Path) -> None:
    result = process("cost", "build/net.pb", "--json", "--fail-above", "packets=1", cwd=place)
    assert result.returncode == 3 and "above 1" in result.stderr
    assert valid(result.stdout, "cost")["failures"] == [result.stderr.strip()[len("error: ") :]]


def test_without_json_stdout_stays_empty_after_an_error(place: Path) -> None:
    assert process("convert", "gone.onnx", cwd=place).stdout == ""
    assert process("simulate", "--", "--json", cwd=place).stdout == ""


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda found: found.pop("schema_version"), "no schema_version"),
        (lambda found: found.update(schema_version=2), "schema_version 2"),
        (lambda found: found.pop("cost"), "'cost' is a required property"),
        (lambda found: found["cost"].update(packets="many"), "cost.packets: 'many'"),
        (lambda found: found.update(kind="strange"), "'strange' is not one of"),
    ],
)
def test_a_damaged_report_is_named(place: Path, damage: Any, told: str) -> None:
    found = json.loads((place / "convert.json").read_text())
    damage(found)
    with pytest.raises(FileError, match=re.escape(told)):
        check_document(found, "net.report.json")


def test_figures_that_are_not_finite_are_null() -> None:
    assert document("op", {"op": {"x": [float("inf"), 1.0], "y": float("nan")}})["op"] == {
        "x": [None, 1.0],
        "y": None,
    }


@pytest.mark.parametrize(
    ("language", "name"), [("en", "report-schema.md"), ("zh", "report-schema.zh-CN.md")]
)
def test_the_page_is_made_from_the_schema(language: str, name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert text == schema_page.page(language)
    assert len(re.findall(r"^\| .*`", text, re.MULTILINE)) > 200
