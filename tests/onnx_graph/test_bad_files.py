"""Files that parse as ONNX and are no model, and models that name other files of the user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.errors import FileError, HexconvError, ModelError
from hexconv.onnx_graph import load


def model(*nodes: onnx.NodeProto, weights: tuple[onnx.TensorProto, ...] = ()) -> onnx.ModelProto:
    """A model x (1, 3, 4) to y."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4]) for name in "xy"]
    graph = helper.make_graph(list(nodes), "g", ends[:1], ends[1:], list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def external(location: str, **entries: int) -> onnx.TensorProto:
    """A tensor of 12 floats in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 3, 4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


ADD = helper.make_node("Add", ["x", "w"], ["y"], "add")


def saved(folder: Path, tensor: onnx.TensorProto) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(model(ADD, weights=(tensor,)).SerializeToString())
    return path


@pytest.mark.parametrize("location", ["../w.bin", "{}/w.bin", "link.bin", "sub/../../w.bin"])
def test_data_outside_the_models_folder_is_not_read(tmp_path: Path, location: str) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(48))
    folder = tmp_path / "m"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    path = saved(folder, external(location.format(tmp_path)))
    with pytest.raises(FileError, match="outside the model's folder"):
        load(path)


@pytest.mark.parametrize("entries", [{"offset": -4}, {"length": 4}, {"offset": 4, "length": 48}])
def test_offset_and_length_are_held(tmp_path: Path, entries: dict[str, int]) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(48))
    with pytest.raises((FileError, ModelError), match=r"external data|invalid"):
        load(saved(tmp_path, external("w.bin", **entries)))


def test_an_axis_past_int32_is_an_error() -> None:
    scale = numpy_helper.from_array(np.ones(4, np.float32), "w")
    node = helper.make_node("LayerNormalization", ["x", "w"], ["y"], "norm", axis=2**31)
    with pytest.raises(ModelError, match=r"'norm'.*'axis'"):
        load(model(node, weights=(scale,)))


@pytest.mark.parametrize(("op", "attribute"), [("Cast", "to"), ("EyeLike", "dtype")])
@pytest.mark.parametrize("number", [-3, 1000, 2**40])
def test_an_element_type_that_does_not_exist_is_an_error(
    op: str, attribute: str, number: int
) -> None:
    node = helper.make_node(op, ["x"], ["y"], "n", **{attribute: number})
    with pytest.raises(ModelError, match="no element type"):
        load(model(node))


def test_a_size_past_memory_is_an_error_before_any_is_asked_for() -> None:
    huge = model(helper.make_node("Relu", ["x"], ["y"]))
    huge.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2**40
    with pytest.raises(ModelError, match="2\\^28"):
        load(huge)


def test_text_that_is_not_utf8_is_an_error_wherever_it_is() -> None:
    content = model(helper.make_node("Relu", ["x"], ["y"])).SerializeToString()
    named = content.replace(b"\x12\x01g", b"\x12\x01\xff")
    assert named != content
    with pytest.raises(ModelError, match="not UTF-8"):
        load(onnx.ModelProto.FromString(named))


def test_operands_of_the_wrong_rank_are_an_error_of_their_node() -> None:
    weights = tuple(numpy_helper.from_array(np.ones(3, np.float32), name) for name in "wr")
    node = helper.make_node("GRU", ["x", "w", "r"], ["y"], "gru", hidden_size=1)
    with pytest.raises(ModelError, match="gru"):
        hexconv.convert(model(node, weights=weights))


def test_floats_of_8_bits_are_unsupported() -> None:
    scale = numpy_helper.from_array(np.ones((), np.float32), "w")
    point = helper.make_tensor("p", TensorProto.FLOAT8E4M3FN, [], [0.0])
    node = helper.make_node("QuantizeLinear", ["x", "w", "p"], ["y"], "quantize")
    narrow = model(node, weights=(scale, point))
    narrow.opset_import[0].version = 19
    narrow.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT8E4M3FN
    with pytest.raises(HexconvError):
        hexconv.convert(narrow)
