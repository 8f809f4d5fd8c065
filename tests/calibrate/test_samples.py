"""Samples come in any form, one at a time, and a bad one is named with its file and input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hexconv.calibrate import read_samples
from hexconv.errors import FileError, RangeError
from hexconv.onnx_graph import FloatGraph, load
from tests.onnx_graph.models import model, node

SHAPE = (1, 4, 3)


def one_input() -> FloatGraph:
    return load(model([node("Relu", "speech", "y")], {"speech": SHAPE}))


def two_inputs() -> FloatGraph:
    return load(model([node("MatMul", "a b", "y")], {"a": (2, 3), "b": (3, 2)}))


def values(number: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.full(shape, number, np.float32)


def firsts(source: object, graph: FloatGraph, name: str = "speech") -> list[float]:
    return [float(s[name].flat[0]) for s in read_samples(source, graph)]  # type: ignore[arg-type]


def test_one_array_is_one_sample(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", values(7))
    assert firsts(tmp_path / "s.npy", one_input()) == [7]


@pytest.mark.parametrize("stacked", [(5, 4, 3), (5, 1, 4, 3)])
def test_an_array_with_samples_along_its_first_axis(
    tmp_path: Path, stacked: tuple[int, ...]
) -> None:
    numbers = np.arange(5).reshape(5, *[1] * (len(stacked) - 1))
    np.save(tmp_path / "s.npy", np.broadcast_to(numbers, stacked).astype(np.float32))
    assert firsts(tmp_path / "s.npy", one_input()) == [0, 1, 2, 3, 4]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name, number in (("b.npy", 2), ("a.npy", 1)):
        np.save(tmp_path / name, values(number))
    np.savez(tmp_path / "c.npz", speech=values(3))
    (tmp_path / "readme.txt").write_text("not a sample")
    assert firsts(tmp_path, one_input()) == [1, 2, 3]


def test_an_archive_with_an_array_an_input(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", a=values(1, (2, 3)), b=values(2, (3, 2)))
    assert firsts(tmp_path / "s.npz", two_inputs(), "b") == [2]


def test_an_archive_of_many_samples(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", a=np.ones((4, 2, 3)), b=np.ones((4, 3, 2)))
    assert firsts(tmp_path / "s.npz", two_inputs(), "b") == [1, 1, 1, 1]


@pytest.mark.parametrize("form", ["folder", "mapping", "pairs"])
def test_one_archive_an_input(tmp_path: Path, form: str) -> None:
    np.save(tmp_path / "a.npy", np.arange(18.0).reshape(3, 2, 3))
    (tmp_path / "b").mkdir()
    for number in range(3):
        np.save(tmp_path / "b" / f"{number}.npy", values(number, (3, 2)))
    paths = {"a": tmp_path / "a.npy", "b": tmp_path / "b"}
    source = {
        "folder": tmp_path,
        "mapping": paths,
        "pairs": [f"{name}={path}" for name, path in paths.items()],
    }[form]
    assert firsts(source, two_inputs(), "b") == [0, 1, 2]
    assert firsts(source, two_inputs(), "a") == [0, 6, 12]


def test_an_archive_of_other_arrays_for_an_input_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", header=values(1), counts=values(2))
    with pytest.raises(RangeError, match=r"no input 'header'\n  where: .*s.npz"):
        firsts([f"speech={tmp_path / 's.npz'}"], one_input())


def test_an_input_without_a_path_is_an_error() -> None:
    with pytest.raises(RangeError, match="'speech' has no path"):
        firsts(["speech="], one_input())


def test_one_pair_in_a_string(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", values(7))
    assert firsts(f"speech={tmp_path / 's.npy'}", one_input()) == [7]


def test_an_iterable_of_dicts_is_drawn_lazily() -> None:
    endless = ({"speech": values(number)} for number in iter(int, 1))
    assert next(read_samples(endless, one_input()))["speech"].shape == SHAPE


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_every_kind_of_float_is_taken(dtype: str) -> None:
    sample = next(read_samples([{"speech": values(1).astype(dtype)}], one_input()))
    assert sample["speech"].dtype == np.float32


BAD = {
    "missing": ({}, "input 'speech' is missing"),
    "unknown": ({"speach": values(1)}, "did you mean 'speech'"),
    "shape": ({"speech": values(1, (1, 4, 5))}, r"shape \[1, 4, 5\], expected \[1, 4, 3\]"),
    "integers": ({"speech": values(1).astype(int)}, "int64, not float"),
    "text": ({"speech": np.full(SHAPE, "x")}, "not float"),
    "NaN": ({"speech": values(1) * np.nan}, "12 values that are NaN or infinite"),
    "infinite": ({"speech": values(1).astype("f8") * 1e60}, "12 values that are NaN or infinite"),
    "no mapping": (values(1), "not a mapping"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_samples(what: str) -> None:
    sample, text = BAD[what]
    good = {"speech": values(0)}
    with pytest.raises(RangeError, match=text) as error:
        list(read_samples([good, sample], one_input()))  # type: ignore[list-item]
    assert "sample 1" in str(error.value)


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", values(0))
    np.save(tmp_path / "odd.npy", values(0, (1, 2, 2)))
    with pytest.raises(RangeError, match=r"(?s)input 'speech' has shape.*odd\.npy"):
        list(read_samples(tmp_path, one_input()))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"garbage", b"PK\x03\x04"])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_files_that_are_no_arrays(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"s{suffix}").write_bytes(content)
    with pytest.raises(RangeError, match=f"s{suffix}"):
        list(read_samples(tmp_path / f"s{suffix}", one_input()))


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(RangeError, match="cannot be read"):
        list(read_samples(tmp_path / "s.npy", one_input()))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"gone\.npy"):
        list(read_samples(tmp_path / "gone.npy", one_input()))


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(RangeError, match=r"no \.npy"):
        list(read_samples(tmp_path, one_input()))


def test_inputs_with_different_numbers_of_samples(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 2, 3)))
    np.save(tmp_path / "b.npy", np.ones((2, 3, 2)))
    with pytest.raises(RangeError, match="input 'b' has 2 samples"):
        list(read_samples(tmp_path, two_inputs()))


def test_a_file_that_does_not_say_for_which_input_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", values(1, (2, 3)))
    with pytest.raises(RangeError, match="does not name the input"):
        list(read_samples(tmp_path / "s.npy", two_inputs()))
