"""`hexconv check`: every node's fate, in two languages, for people and for CI."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from hexconv.cli import group


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """good.onnx, and bad.onnx: one op without lowering, one unknown, one after a loop over data."""
    info = helper.make_tensor_value_info
    relu = helper.make_node("Relu", ["x"], ["y"], name="relu")
    _save(tmp_path / "good.onnx", [relu], [info("y", TensorProto.FLOAT, [1, 3, 3])])
    nodes = [
        relu,
        helper.make_node("Det", ["y"], ["det"], name="det"),
        helper.make_node("Foo", ["y"], ["foo"], name="foo", domain="my"),
        helper.make_node("NonZero", ["y"], ["places"], name="places"),
        helper.make_node("Cast", ["places"], ["cast"], name="behind", to=TensorProto.FLOAT),
    ]
    outputs = [
        info("det", TensorProto.FLOAT, [1]),
        info("foo", TensorProto.FLOAT, [1, 3, 3]),
        info("cast", TensorProto.FLOAT, [3, "n"]),
    ]
    _save(tmp_path / "bad.onnx", nodes, outputs)
    return tmp_path


def _save(path: Path, nodes: list[onnx.NodeProto], outputs: list[onnx.ValueInfoProto]) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 3])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
    graph = helper.make_graph(nodes, "g", [x], outputs)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def run(*args: str) -> Result:
    return CliRunner().invoke(group, ["check", *args], env={"COLUMNS": "200"})


def test_a_model_that_runs_has_exit_code_0(models: Path) -> None:
    result = run(str(models / "good.onnx"))
    assert result.exit_code == 0
    assert "100.0%" in result.output and "unsupported" not in result.output
    assert "QuantizedRelu_8" in run(str(models / "good.onnx"), "--all").output


def test_every_unsupported_node_is_listed_at_once(models: Path) -> None:
    result = run(str(models / "bad.onnx"))
    assert result.exit_code == 1
    for text in ("Det", "my::Foo", "NonZero", "'places'", "4 unsupported", "20.0%"):
        assert text in result.output
    assert "QuantizedRelu_8" not in result.output


def test_json_has_every_node(models: Path) -> None:
    result = run(str(models / "bad.onnx"), "--json")
    report = json.loads(result.output)["coverage"]
    assert result.exit_code == 1 and not report["ok"]
    fates = {row["onnx_node"]: bool(row["reason"]) for row in report["nodes"]}
    assert fates == {"relu": False, "det": True, "foo": True, "places": True, "behind": True}
    assert report["node_share"] == pytest.approx(0.2)


def test_it_prints_chinese(models: Path) -> None:
    result = run(str(models / "bad.onnx"), "--lang", "zh")
    assert "节点" in result.output and "不支持" in result.output


def test_quiet_leaves_the_exit_code(models: Path) -> None:
    result = run(str(models / "bad.onnx"), "-q")
    assert (result.exit_code, result.output) == (1, "")


def test_a_dynamic_size_is_requested_by_name(models: Path) -> None:
    model = onnx.load(models / "good.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "time"
    onnx.save(model, models / "open.onnx")
    result = run(str(models / "open.onnx"))
    assert "'time'" in str(result.exception) and "--shape x=1,100,3" in result.exception.hint
    assert run(str(models / "open.onnx"), "--shape", "x=1,3,3").exit_code == 0
