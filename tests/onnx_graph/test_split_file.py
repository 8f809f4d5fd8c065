"""Large tensors stay in the file until they are read; everything else is as without that."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from hexconv.errors import FileError, HexconvError, ModelError
from hexconv.onnx_graph import load, split_file
from hexconv.onnx_graph.read import read_model
from hexconv.onnx_graph.split_file import read_split
from tests.onnx_graph.models import model, node


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_file, "LARGE", 16)


def network(dtype: Any = np.float32) -> onnx.ModelProto:
    draw = np.random.default_rng(2)
    proto = model(
        [node("MatMul", "x w", "m"), node("Add", "m b", "y")],
        {"x": (1, 6)},
        consts={"w": draw.standard_normal((6, 5)), "b": draw.standard_normal(5)},
    )
    extra = numpy_helper.from_array(draw.standard_normal((3, 7)).astype(dtype), "extra")
    proto.graph.initializer.append(extra)
    return proto


def test_what_is_parsed_has_only_the_small_tensors(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(network(), path)
    parsed = onnx.ModelProto.FromString(read_split(path))
    assert [len(tensor.raw_data) for tensor in parsed.graph.initializer] == [0, 0, 0]
    assert parsed.graph.node == network().graph.node


@pytest.mark.parametrize(
    "dtype",
    [np.float32, np.float16, np.int64, np.uint8, ml_dtypes.bfloat16, ml_dtypes.int4],
    ids=str,
)
def test_every_tensor_is_the_one_of_the_file(tmp_path: Path, dtype: Any) -> None:
    path = tmp_path / "m.onnx"
    proto = network(dtype)
    onnx.save(proto, path)
    found, _ = read_model(path)
    expected, _ = read_model(proto)
    for name, value in expected.graph.initializers.items():
        mine, right = found.graph.initializers[name].const_value, value.const_value
        assert mine is not None and right is not None
        assert (mine.dtype, mine.shape) == (right.dtype, right.shape)
        assert mine.numpy().tobytes() == right.numpy().tobytes()
        assert mine.numpy().flags.aligned


def test_a_tensor_of_another_size_than_its_shape_is_named(tmp_path: Path) -> None:
    proto = network()
    proto.graph.initializer[0].raw_data += b"\0\0\0\0"
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"(?s)tensor 'w' is malformed.*124 bytes.*needs 120"):
        load(tmp_path / "m.onnx")


def test_a_file_that_ends_early_is_reported_as_before(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    content = network().SerializeToString()
    path.write_bytes(content[:-9])
    with pytest.raises(FileError, match="not an ONNX file, or it is cut short"):
        load(path)


@settings(max_examples=200)
@given(st.data())
def test_damaged_bytes_are_a_model_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(network().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "m.onnx"
    path.write_bytes(content)
    with contextlib.suppress(HexconvError):
        read_model(path)
