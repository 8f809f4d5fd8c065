"""Sizes that a header or an archive states are believed only where the bytes are there for them."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from hexconv.errors import FileError
from hexconv.numpy_files import read_numpy, read_shapes
from hexconv.paths import INFLATED

SMALL = 1 << 24
"""Bytes of memory that reading a file of a few kilobytes may take."""

SPEECH = np.linspace(-1, 1, 128, dtype=np.float32).reshape(8, 16)


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < SMALL
    finally:
        tracemalloc.stop()


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    stream = io.BytesIO()
    content = {"shape": shape, "fortran_order": False, "descr": descr}
    np.lib.format.write_array_header_1_0(stream, content)
    return stream.getvalue()


def archive(path: Path, members: dict[str, bytes], zeros: int = 0) -> Path:
    """Members by name; the last one goes on with as many zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            with made.open(name, "w") as member:
                member.write(content)
                for _ in range(zeros >> 20 if name == [*members][-1] else 0):
                    member.write(bytes(1 << 20))
    return path


LIES = {
    "more than is there": header((8, 17)) + SPEECH.tobytes(),
    "terabytes": header((1 << 42,)) + SPEECH.tobytes(),
    "more than a size_t": header((1 << 60, 1 << 60)) + SPEECH.tobytes(),
    "gigabytes, which a system may give": header((1 << 31,)) + SPEECH.tobytes(),
    "a negative size": header((-1, 16)) + SPEECH.tobytes(),
    "long strings": header((8, 16), "|S1000000000") + SPEECH.tobytes(),
    "a long header": b"\x93NUMPY\x02\x00" + (1 << 31).to_bytes(4, "little") + bytes(4096),
}


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_states_what_is_not_there_takes_no_memory(
    tmp_path: Path, lie: str, mapped: bool
) -> None:
    alone = tmp_path / "a.npy"
    alone.write_bytes(LIES[lie])
    packed = archive(tmp_path / "a.npz", {"good.npy": header(()) + bytes(4), "bad.npy": LIES[lie]})
    for path in (alone, packed):
        with little_memory(), pytest.raises(FileError, match="the mel cannot be read"):
            read_numpy(path, "the mel", mapped=mapped)


READERS: list[Callable[[Path, str], object]] = [read_numpy, read_shapes]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("name", ["speech.npy", "more.npy"])
def test_an_archive_that_inflates_without_end_is_not_inflated(
    tmp_path: Path, read: Callable[[Path, str], object], name: str
) -> None:
    size = INFLATED + (1 << 21)
    members = {"speech.npy": header((8, 16)) + SPEECH.tobytes(), name: header((size // 4,))}
    path = archive(tmp_path / "a.npz", members, size)
    assert path.stat().st_size < size // 500
    with little_memory(), pytest.raises(FileError, match="inflate to"):
        read(path, "the samples")


def test_masks_and_silence_may_have_next_to_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    stored = {"speech": SPEECH, "mask": np.ones((500, 8192), bool), "none": np.zeros((0, 4))}
    np.savez_compressed(path, **stored)
    assert path.stat().st_size < 500 * 8192 // 100
    found = read_numpy(path, "the samples")
    assert isinstance(found, dict) and [*found] == [*stored]
    for name, array in stored.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert read_shapes(path, "it") == {name: array.shape for name, array in stored.items()}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("descr", ["<f4", ">f8", "<i2", "|b1"])
def test_arrays_are_read_as_they_were_saved(tmp_path: Path, order: str, descr: str) -> None:
    array = np.asarray(SPEECH.astype(descr), order="C" if order == "C" else "F")
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array, b=array)
    found = read_numpy(tmp_path / "a.npz", "it")
    assert isinstance(found, dict) and [*found] == ["b", "arr_0"]
    for read in (*found.values(), read_numpy(tmp_path / "a.npy", "it")):
        assert isinstance(read, np.ndarray)
        np.testing.assert_array_equal(read, array, strict=True)
