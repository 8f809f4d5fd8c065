"""The reference model: the same outputs for 4-D inputs, and the way back to what was exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.errors import FileError, HexconvWarning, ModelError
from hexconv.from_deployment import convert_deployment
from hexconv.onnx_graph.read import read_model
from hexconv.onnx_graph.reference import KEY, as_exported, reference_model, reference_of
from hexconv.raw_tensors import four_sizes

info = helper.make_tensor_value_info
SHAPES = {"speech": (1, 9, 16), "bias": (8,), "mask": (9, 8), "image": (1, 2, 9, 8)}


def random(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def network(ir_version: int = 8) -> onnx.ModelProto:
    """Inputs of rank 1 to 4, one that a branch of an If reads, one that nothing reads."""
    body = [
        helper.make_graph([helper.make_node(op, ["h", "bias"], [op])], op, [], [_float(op)])
        for op in ("Add", "Sub")
    ]
    nodes = [
        helper.make_node("MatMul", ["speech", "w"], ["h"]),
        helper.make_node("If", ["yes"], ["i"], then_branch=body[0], else_branch=body[1]),
        helper.make_node("Mul", ["i", "mask"], ["m"]),
        helper.make_node("Add", ["m", "image"], ["fa_out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [
            info("speech", TensorProto.FLOAT, [1, "T", 16]),
            *(info(name, TensorProto.FLOAT, shape) for name, shape in list(SHAPES.items())[1:]),
            info("lengths", TensorProto.INT64, [1]),
        ],
        [info("fa_out", TensorProto.FLOAT, [1, 2, "T", 8])],
        [
            numpy_helper.from_array(random(16, 8), "w"),
            numpy_helper.from_array(np.array(True), "yes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = ir_version
    if ir_version < 4:
        graph = model.graph
        graph.input.append(info("w", TensorProto.FLOAT, [16, 8]))
        graph.input.append(info("yes", TensorProto.BOOL, []))
    return model


def _float(name: str) -> onnx.ValueInfoProto:
    return info(name, TensorProto.FLOAT, None)


def outputs_of(model: onnx.ModelProto, feeds: dict[str, Any]) -> Any:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


@pytest.mark.parametrize("ir_version", [3, 8])
def test_the_reference_takes_four_axes_and_returns_the_same(ir_version: int) -> None:
    model, feeds = network(ir_version), {name: random(*shape) for name, shape in SHAPES.items()}
    made = reference_model(model, SHAPES)
    onnx.checker.check_model(made)
    fed = {name: array.reshape(four_sizes(array.shape)) for name, array in feeds.items()}
    (found,) = outputs_of(made, fed)
    (right,) = outputs_of(model, {**feeds, "lengths": np.array([9])})
    assert np.array_equal(found, right)
    assert [value.name for value in made.graph.output] == ["fa_out"]
    assert made.ir_version == max(ir_version, 4)  # MACE's script fails on older ones


@pytest.mark.parametrize("ir_version", [3, 8])
def test_the_way_back_gives_the_model_byte_for_byte(ir_version: int) -> None:
    model = network(ir_version)
    model.metadata_props.add(key="author", value="me")
    made = reference_model(model, SHAPES)
    assert as_exported(made) == model
    assert reference_model(as_exported(made), SHAPES) == made
    assert as_exported(model) is model


def test_names_that_are_taken_are_not_given_twice() -> None:
    node = helper.make_node("Relu", ["x"], ["x/as_exported"], name="x/shape")
    graph = helper.make_graph(
        [node],
        "net",
        [info("x", TensorProto.FLOAT, [4])],
        [info("x/as_exported", TensorProto.FLOAT, [4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (found,) = outputs_of(reference_model(model, {"x": (4,)}), {"x": random(1, 1, 1, 4)})
    assert np.array_equal(found, np.maximum(random(1, 1, 1, 4).reshape(4), 0))


def test_hexconv_reads_a_reference_as_what_it_was_made_of(tmp_path: Path) -> None:
    onnx.save(reference_model(network(), SHAPES), tmp_path / "net.reference.onnx")
    model, _ = read_model(tmp_path / "net.reference.onnx")
    assert [str(value.name) for value in model.graph.inputs] == [*SHAPES, "lengths"]
    assert [node.op_type for node in model.graph] == ["MatMul", "If", "Mul", "Add"]


@pytest.mark.parametrize("note", ["", "{}", '{"reshapes": "x"}', '{"reshapes":0,"inner":[1]}'])
def test_a_note_that_was_changed_is_an_error(tmp_path: Path, note: str) -> None:
    made = reference_model(network(), SHAPES)
    (entry,) = [entry for entry in made.metadata_props if entry.key == KEY]
    entry.value = note
    onnx.save(made, tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="reference model is damaged"):
        read_model(tmp_path / "net.onnx")


def linear(path: Path, *, external: bool = False) -> Path:
    node = helper.make_node("MatMul", ["speech", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "net",
        [info("speech", TensorProto.FLOAT, [1, 9, 16]), info("lengths", TensorProto.INT64, [1])],
        [info("y", TensorProto.FLOAT, [1, 9, 8])],
        [numpy_helper.from_array(random(16, 8), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path, save_as_external_data=external, location="w.bin", size_threshold=0)
    return path


@pytest.mark.parametrize("external", [False, True], ids=["one file", "external data"])
def test_a_conversion_writes_it_and_its_yaml_converts_to_the_same_bytes(
    tmp_path: Path, external: bool
) -> None:
    path = linear(tmp_path / "net.onnx", external=external)
    made = hexconv.convert(path, samples=[{"speech": random(1, 9, 16)}])
    files = {file.name for file in made.save(tmp_path / "one")}
    assert "net.reference.onnx" in files
    (found,) = outputs_of(
        onnx.load(tmp_path / "one" / "net.reference.onnx"), {"speech": random(1, 1, 9, 16)}
    )
    assert np.array_equal(found, random(1, 1, 9, 16)[0] @ random(16, 8))
    convert_deployment(tmp_path / "one" / "net.yml").save(tmp_path / "two")
    for name in files - {"net.report.json"}:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_model_in_memory_has_one_too(tmp_path: Path) -> None:
    proto = onnx.load(linear(tmp_path / "net.onnx"))
    before = proto.SerializeToString(deterministic=True)
    made = hexconv.convert(proto, samples=[{"speech": random(1, 9, 16)}], name="net")
    made.save(tmp_path / "out")
    assert (tmp_path / "out" / "net.reference.onnx").is_file()
    assert proto.SerializeToString(deterministic=True) == before


def test_a_model_of_four_axes_needs_none(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    shape = [1, 2, 3, 4]
    graph = helper.make_graph(
        [node], "net", [info("x", TensorProto.FLOAT, shape)], [info("y", TensorProto.FLOAT, shape)]
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        tmp_path / "net.onnx",
    )
    made = hexconv.convert(tmp_path / "net.onnx", samples=[{"x": random(*shape)}])
    assert not any("reference" in file.name for file in made.save(tmp_path / "out"))
    assert "model_file_path: ../net.onnx" in (tmp_path / "out" / "net.yml").read_text()


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "changed"])
def test_without_its_onnx_file_a_model_is_saved_with_a_warning(tmp_path: Path, gone: bool) -> None:
    path = linear(tmp_path / "net.onnx")
    made = hexconv.convert(path, samples=[{"speech": random(1, 9, 16)}])
    if gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"\n\0")
    with pytest.warns(HexconvWarning, match="no net.reference.onnx"):
        files = made.save(tmp_path / "out")
    assert not any("reference" in file.name for file in files)


def test_a_model_too_large_for_one_file_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexconv.onnx_graph.reference.LARGEST", 100)
    with pytest.raises(ModelError, match="one ONNX file has at most 2 GB"):
        reference_of(network(), "", SHAPES)


def test_missing_external_data_is_named(tmp_path: Path) -> None:
    path = linear(tmp_path / "net.onnx", external=True)
    made = hexconv.convert(path, samples=[{"speech": random(1, 9, 16)}])
    (tmp_path / "w.bin").unlink()
    assert made.conversion is not None
    with pytest.raises(FileError, match="external data"):
        reference_of(path, made.conversion.sha256, {"speech": (1, 9, 16)})
