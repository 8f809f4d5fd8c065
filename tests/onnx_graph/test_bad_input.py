"""Every bad model is one clear error: what, where, why, what to do. Never a traceback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from hexconv.errors import FileError, HexconvError, ModelError, UnsupportedOpError
from hexconv.onnx_graph import FloatGraph, load
from tests.onnx_graph.models import model, node

WEIGHTS = np.arange(12.0).reshape(3, 4)


def linear() -> onnx.ModelProto:
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "a"), node("Relu", "a", "y")]
    return model(nodes, {"x": (2, 3)}, consts={"w": WEIGHTS, "b": np.ones(4)})


def message(error: pytest.ExceptionInfo[HexconvError]) -> str:
    return str(error.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no such ONNX file\n  where: .*gone.onnx"):
        load(tmp_path / "gone.onnx")


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="directory"):
        load(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    with pytest.raises(FileError, match="empty"):
        load(tmp_path / "m.onnx")


def test_a_path_that_cannot_be_one() -> None:
    with pytest.raises(FileError, match="cannot be read"):
        load("a\0b")


@pytest.mark.parametrize("content", [b"not a model", b"\x08\x01", b"PK\x03\x04" * 9, b"\0" * 64])
def test_a_file_that_is_no_onnx_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(FileError, match="not an ONNX"):
        load(tmp_path / "m.onnx")


def test_a_cut_file(tmp_path: Path) -> None:
    content = linear().SerializeToString()
    (tmp_path / "m.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(FileError, match="cut short"):
        load(tmp_path / "m.onnx")


def save_external(folder: Path) -> Path:
    path = folder / "m.onnx"
    onnx.save(linear(), path, save_as_external_data=True, location="m.data", size_threshold=0)
    return path


def test_external_data_is_found_beside_the_model(tmp_path: Path) -> None:
    weights = load(save_external(tmp_path)).const("w")
    np.testing.assert_array_equal(weights, WEIGHTS)


def test_missing_external_data(tmp_path: Path) -> None:
    path = save_external(tmp_path)
    (tmp_path / "m.data").unlink()
    with pytest.raises(FileError, match=r"external data of tensor 'w' is missing\n.*m.data"):
        load(path)


def test_cut_external_data(tmp_path: Path) -> None:
    path = save_external(tmp_path)
    (tmp_path / "m.data").write_bytes(b"123")
    with pytest.raises(FileError, match="cut short"):
        load(path)


def test_external_data_outside_the_folder_of_the_model(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = save_external(inside)
    (inside / "m.data").rename(tmp_path / "m.data")
    proto = onnx.load(path, load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../m.data"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(HexconvError):
        load(path)


def test_external_data_of_a_model_in_memory(tmp_path: Path) -> None:
    proto = onnx.load(save_external(tmp_path), load_external_data=False)
    with pytest.raises(ModelError, match="give the path"):
        load(proto)


@pytest.mark.parametrize("opset", [1, 6, 99])
def test_opsets_that_are_not_read(opset: int) -> None:
    proto = linear()
    proto.opset_import[0].version = opset
    with pytest.raises(ModelError, match=f"opset {opset}"):
        load(proto)


def test_no_opset() -> None:
    proto = linear()
    del proto.opset_import[:]
    with pytest.raises(ModelError, match="opset"):
        load(proto)


@pytest.mark.parametrize("version", [1, 99])
def test_unknown_ir_versions(version: int) -> None:
    proto = linear()
    proto.ir_version = version
    with pytest.raises(ModelError, match=f"IR version {version}"):
        load(proto)


def test_a_cycle_is_shown() -> None:
    nodes = [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Neg", "b", "y")]
    with pytest.raises(ModelError, match="cycle") as error:
        load(model(nodes, {"x": (2,)}))
    assert "'n_a'" in message(error) and "'n_b'" in message(error)


def test_a_tensor_that_nothing_computes() -> None:
    with pytest.raises(ModelError, match=r"'ghost' is read.*\n.*n_y"):
        load(model([node("Add", "x ghost", "y")], {"x": (2,)}))


def test_an_output_that_nothing_computes() -> None:
    with pytest.raises(ModelError, match="output 'z'"):
        load(model([node("Relu", "x", "y")], {"x": (2,)}, ["y", "z"]))


def test_a_name_that_is_given_twice() -> None:
    nodes = [node("Relu", "x", "y"), helper.make_node("Neg", ["x"], ["y"], name="other")]
    with pytest.raises(ModelError):
        load(model(nodes, {"x": (2,)}))


BROKEN = {
    "an unknown attribute": [node("Relu", "x", "y", slope=1.0)],
    "a missing attribute": [node("Concat", "x x", "y")],
    "too many inputs": [node("Relu", "x x", "y")],
    "shapes that do not fit": [node("MatMul", "x w", "y")],
    "types that do not fit": [node("Add", "x i", "y")],
    "an axis out of range": [node("Softmax", "x", "y", axis=7)],
    "a stride of 0": [node("MaxPool", "im", "y", kernel_shape=[1, 1], strides=[0, 1])],
    "a reshape that does not fit": [node("Reshape", "x i", "y")],
    "channels that do not fit": [node("Conv", "im k", "y")],
    "a group that does not divide": [node("Conv", "im k", "y", group=2)],
    "a Celu of alpha 0": [node("Celu", "x", "y", alpha=0.0)],
    "a wrong type of attribute": [node("Softmax", "x", "y", axis=1.5)],
}


@pytest.mark.parametrize("what", BROKEN)
def test_invalid_nodes_are_named(what: str) -> None:
    consts = {"w": WEIGHTS, "i": np.array([7, 7], np.int64), "k": np.ones((3, 2, 1, 1))}
    proto = model(BROKEN[what], {"x": (2, 4), "im": (1, 1, 3, 3)}, consts=consts)
    with pytest.raises(HexconvError) as error:
        load(proto)
    assert "n_y" in message(error)


def test_a_variance_without_a_square_root() -> None:
    consts = {"one": np.ones(4), "variance": np.array([1.0, 2.0, -1.0, 0.0])}
    nodes = [node("BatchNormalization", "x one one one variance", "y")]
    with pytest.raises(HexconvError, match="a variance of -1 and epsilon of 1e-05"):
        load(model(nodes, {"x": (2, 4)}, consts=consts))


def test_a_kernel_larger_than_its_input() -> None:
    nodes = [node("MaxPool", "x", "y", kernel_shape=[5, 5])]
    with pytest.raises(HexconvError, match="n_y"):
        load(model(nodes, {"x": (1, 1, 3, 3)}))


@pytest.mark.parametrize(("domain", "op_type"), [("", "Reluu"), ("my.ops", "Fancy")])
def test_unknown_ops(domain: str, op_type: str) -> None:
    proto = model([helper.make_node(op_type, ["x"], ["y"], domain=domain)], {"x": (2,)})
    if domain:
        proto.opset_import.append(helper.make_opsetid(domain, 1))
    with pytest.raises(UnsupportedOpError, match=op_type) as error:
        load(proto)
    assert domain or "did the exporter mean Relu" in message(error)


def test_an_op_that_is_newer_than_the_model() -> None:
    proto = model([node("Gelu", "x", "y")], {"x": (2,)}, opset=17)
    with pytest.raises(UnsupportedOpError, match="no op Gelu in opset 17") as error:
        load(proto)
    assert error.value.hint == "the op is new in opset 20: export the model with that opset"


def test_control_flow_is_rejected_by_name() -> None:
    out = helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, None)
    inner = [helper.make_node("Identity", ["t"], ["u"]), helper.make_node("Relu", ["x"], ["b"])]
    ends = [("i", onnx.TensorProto.INT64), ("t", onnx.TensorProto.BOOL)]
    inputs = [helper.make_tensor_value_info(name, kind, []) for name, kind in ends]
    more = helper.make_tensor_value_info("u", onnx.TensorProto.BOOL, None)
    body = helper.make_graph(inner, "g", inputs, [more, out])
    nodes = [
        node("ReduceMax", "x", "m", keepdims=0),
        node("Cast", "m", "c", to=onnx.TensorProto.BOOL),
        helper.make_node("Loop", ["", "c"], ["y"], name="n_y", body=body),
    ]
    with pytest.raises(UnsupportedOpError, match=r"(?s)a Loop with a condition.*'n_y'"):
        load(model(nodes, {"x": (2,)}))


@pytest.mark.parametrize("dtype", ["INT64", "STRING", "UINT8"])
def test_inputs_that_are_not_float(dtype: str) -> None:
    code = getattr(onnx.TensorProto, dtype)
    with pytest.raises(ModelError, match="input 'ids' is"):
        load(model([node("Identity", "ids", "y")], {"ids": (2,)}, dtype=code))


def test_sizes_that_depend_on_data() -> None:
    nodes = [node("NonZero", "x", "n"), node("Cast", "n", "y", to=1)]
    with pytest.raises(UnsupportedOpError, match="not known before"):
        load(model(nodes, {"x": (2, 3)}))


def test_an_empty_input() -> None:
    with pytest.raises(ModelError, match="empty"):
        load(model([node("Relu", "x", "y")], {"x": (0, 3)}))


def test_an_empty_tensor_on_the_way() -> None:
    consts = {"s": np.array([2], np.int64), "e": np.array([1], np.int64)}
    with pytest.raises(UnsupportedOpError, match="'y' is empty"):
        load(model([node("Slice", "x s e", "y")], {"x": (4, 3)}, consts=consts))


def test_more_elements_than_can_be_counted() -> None:
    consts = {"s": np.array([2**20, 2**20], np.int64)}
    with pytest.raises(UnsupportedOpError, match=r"2\^28"):
        load(model([node("Expand", "x s", "y")], {"x": (1, 1)}, consts=consts))


def test_a_giant_constant_is_not_computed() -> None:
    consts = {"s": np.array([2**15, 2**15], np.int64)}
    nodes = [node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")]
    with pytest.raises(HexconvError, match="'c'"):
        load(model(nodes, {"x": (1, 1)}, consts=consts))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(bad: float) -> None:
    proto = linear()
    weights = WEIGHTS.astype(np.float32).copy()
    weights[1, 2] = bad
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    with pytest.raises(ModelError, match="tensor 'w' contains") as error:
        load(proto)
    assert "1 " in message(error) and "of 12" in message(error)


def test_a_tensor_whose_bytes_do_not_fit_its_shape() -> None:
    proto = linear()
    proto.graph.initializer[0].dims[0] = 5
    with pytest.raises(ModelError, match="'w'"):
        load(proto)


def test_a_model_without_inputs() -> None:
    proto = model([node("Relu", "c", "y")], {}, consts={"c": [1.0]})
    with pytest.raises(ModelError, match="no input"):
        load(proto)


def test_dropout_in_training_mode() -> None:
    nodes = [node("Dropout", "x r t", "y")]
    with pytest.raises(UnsupportedOpError, match="training"):
        load(model(nodes, {"x": (2,)}, consts={"r": 0.5, "t": np.array(True)}))


def small_models() -> list[bytes]:
    shape = [node("Shape", "x", "s"), node("ConstantOfShape", "s", "z"), node("Add", "x z", "y")]
    weights = np.ones((4, 3, 3, 3))
    conv = [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Softmax", "c", "y", axis=1)]
    return [
        linear().SerializeToString(),
        model(shape, {"x": (2, 3)}).SerializeToString(),
        model(conv, {"x": (1, 3, 4, 4)}, consts={"w": weights}, opset=11).SerializeToString(),
    ]


def loads_or_raises(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        graph = load(path)
    except HexconvError as error:
        assert str(error)
    else:
        assert isinstance(graph, FloatGraph)


FUZZ = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@FUZZ
@given(data=st.data())
def test_flipped_bytes_never_give_anything_but_an_error_or_a_graph(
    tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(data.draw(st.sampled_from(small_models())))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    loads_or_raises(tmp_path / "m.onnx", bytes(content))


@FUZZ
@given(data=st.data())
def test_cut_files_never_give_anything_but_an_error_or_a_graph(
    tmp_path: Path, data: st.DataObject
) -> None:
    content = data.draw(st.sampled_from(small_models()))
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content)))
    loads_or_raises(tmp_path / "m.onnx", content[:start] + content[stop:])
