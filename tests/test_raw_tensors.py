"""MACE's raw files: their names, bytes and sizes, and what hexconv reads of them."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexconv.calibrate import read_samples
from hexconv.calibrate.samples import SampleSource
from hexconv.cli.simulate import samples_of
from hexconv.errors import FileError, RangeError
from hexconv.nnlib.graph import Graph, Interface
from hexconv.nnlib.layout import Layout
from hexconv.raw_tensors import (
    DATA_FORMATS,
    DataFormat,
    file_name,
    from_format,
    from_raw,
    in_format,
    to_raw,
)

IMAGE = (1, 3, 4, 5)
X = np.random.default_rng(0).standard_normal(IMAGE).astype(np.float32)


@pytest.mark.parametrize(
    "tensor, file",
    [
        ("speech", "net_speech"),
        ("/encoder/x.1:0", "net__encoder_x_1_0"),
        ("a_b", "net_a_b"),
        ("é", "net___"),  # MACE's C++ looks at the two bytes
        ("", "net_"),
    ],
)
def test_the_name_that_mace_looks_for(tensor: str, file: str) -> None:
    assert file_name("net", tensor) == file


@given(st.lists(st.integers(1, 4), max_size=4), st.sampled_from(DATA_FORMATS), st.integers(1, 3))
def test_bytes_come_back_as_they_were(sizes: list[int], form: DataFormat, count: int) -> None:
    arrays = np.random.default_rng(1).standard_normal((count, *sizes)).astype(np.float32)
    content = b"".join(to_raw(array, form) for array in arrays)
    back = from_raw(content, sizes, form)
    assert np.array_equal(back, arrays[0] if count == 1 else arrays)
    assert from_format(in_format(sizes, form), form) == tuple(sizes)


def test_an_nhwc_image_has_its_channels_last() -> None:
    assert np.array_equal(
        np.frombuffer(to_raw(X, "NHWC"), "<f4"), X.transpose(0, 2, 3, 1).reshape(-1)
    )
    assert to_raw(X, "NCHW") == to_raw(X) == X.astype("<f4").tobytes()


class Feeds:
    """A model of one image."""

    inputs = (Interface("x", IMAGE, Layout.channels_last(4), nhwc=True),)
    dropped_inputs = ()
    open_axes = MappingProxyType({"x": ()})

    def takes(self, name: str, dtype: npt.DTypeLike) -> bool:
        return name == "x" and np.dtype(dtype) == np.float32


def samples(source: SampleSource, form: DataFormat = "NONE") -> list[np.ndarray]:
    return [sample["x"] for sample in read_samples(source, Feeds(), {"x": form})]


@pytest.mark.parametrize("name", ["x.bin", "x.raw", "net_x"])
def test_samples_are_read_from_raw_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(to_raw(X))
    for source in (path, str(path), {"x": path}, [f"x={path}"]):
        (found,) = samples(source)
        assert np.array_equal(found, X)


def test_a_raw_file_holds_as_many_samples_as_its_size_says(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(to_raw(X, "NHWC") + to_raw(2 * X, "NHWC"))
    assert np.array_equal(np.stack(samples(tmp_path / "x.bin", "NHWC")), np.stack([X, 2 * X]))
    assert len(samples(tmp_path)) == 2  # a folder with one file for each input


@pytest.mark.parametrize("name", ["x.bin", "x.raw", "net_x"])
def test_the_device_is_fed_from_raw_files_in_the_models_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(to_raw(X, "NHWC"))
    graph = Graph("net", [], [], list(Feeds.inputs))
    (found,) = samples_of((str(tmp_path / name),), graph)
    assert np.array_equal(found["x"], X)


@pytest.mark.parametrize(
    "content, said",
    [
        (to_raw(X)[:-4], "another size"),
        (to_raw(X) + b"\0" * 4, "another size"),
        (b"", "another size"),
        (b"\x93NUMPY" + to_raw(X), "a NumPy file"),
        (to_raw(np.full_like(X, np.nan)), "NaN"),
    ],
)
def test_what_is_no_raw_tensor_is_an_error(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(RangeError, match=said):
        samples(tmp_path / "x.bin")


def test_a_raw_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such sample file"):
        samples(tmp_path / "x.bin")
