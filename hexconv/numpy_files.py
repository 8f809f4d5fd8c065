"""Reads `.npy` and `.npz` files: plain numbers only, whatever the bytes of the file are."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hexconv.errors import FileError
from hexconv.paths import check_inflated, check_is_file

ZIP = b"PK"
LARGEST = 1 << 31
"""Bytes of one array, and of all arrays of an archive: more is a damaged size, or a zip bomb."""

LONGEST_HEADER = 10_000
"""Bytes of a header: more than NumPy takes."""

Arrays = dict[str, npt.NDArray[Any]]


def read_npy(path: str | Path, what: str, *, mapped: bool = False) -> npt.NDArray[Any]:
    """The array of a `.npy` file.

    Args:
        path: of the file.
        what: the file's name in messages: "the mel".
        mapped: map the file instead of reading it.

    Raises:
        FileError: it is missing, an archive, or no `.npy` of plain numbers.
    """
    found = read_numpy(path, what, mapped=mapped)
    if isinstance(found, dict):
        raise FileError(f"{what} is a .npz archive", where=str(path), hint="give a .npy: one array")
    return found


def read_npz(path: str | Path, what: str) -> Arrays:
    """The arrays of a `.npz` file by name.

    Raises:
        FileError: it is missing, a `.npy`, or no `.npz` of plain numbers.
    """
    found = read_numpy(path, what)
    if not isinstance(found, dict):
        raise FileError(f"{what} is a .npy file", where=str(path), hint="give a .npz archive")
    return found


def read_numpy(path: str | Path, what: str, *, mapped: bool = False) -> npt.NDArray[Any] | Arrays:
    """The array of a `.npy`, or the arrays of a `.npz` by name; the content decides.

    Raises:
        FileError: it is missing, or no file of plain numbers.
    """
    with _reading(path, what), Path(path).open("rb") as stream:
        if _is_archive(stream):
            return _archive(stream)
        return _array(stream, Path(path) if mapped else None)


def read_shapes(path: Path, what: str) -> dict[str, tuple[int, ...]]:
    """The shapes of a file's arrays by name, from the headers alone; of a `.npy` by "".

    Raises:
        FileError: it is missing, or no file of NumPy's.
    """
    with _reading(path, what), path.open("rb") as stream:
        if not _is_archive(stream):
            return {"": _header(stream)[0]}
        found = {}
        with _members(stream) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    found[name.removesuffix(".npy")] = _header(member)[0]
        return found


@contextmanager
def _reading(path: str | Path, what: str) -> Iterator[None]:
    """Whatever a file makes NumPy raise is one error, and NumPy's warnings of old headers none."""
    try:
        check_is_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FileNotFoundError:
        raise FileError(f"there is no such {what.removeprefix('the ')}", where=str(path)) from None
    except Exception as error:  # NumPy, zipfile and zlib make no guarantee about what they raise
        lines = str(error).strip().splitlines()
        why = error.strerror if isinstance(error, OSError) and error.strerror else ""
        raise FileError(
            f"{what} cannot be read",
            where=str(path),
            why=why or (lines[0] if lines else type(error).__name__),
        ) from error


def _is_archive(stream: BinaryIO) -> bool:
    found = stream.read(len(ZIP)) == ZIP
    stream.seek(0)
    return found


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type; NumPy would read a header of gigabytes before it rejects it."""
    version = np.lib.format.read_magic(stream)
    form = "<H" if version == (1, 0) else "<I"
    length = stream.read(struct.calcsize(form))
    size = int.from_bytes(length, "little")
    if size > LONGEST_HEADER:
        raise ValueError(f"its header has {size} bytes, {LONGEST_HEADER} at most are read")
    content = io.BytesIO(length + stream.read(size))
    old = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(content)
    return tuple(shape), dtype


def _array(stream: BinaryIO, path: Path | None) -> npt.NDArray[Any]:
    _check_header(stream, os.fstat(stream.fileno()).st_size, "the array")
    stream.seek(0)
    array = (
        np.load(stream, allow_pickle=False)
        if path is None
        else np.load(path, mmap_mode="r", allow_pickle=False)
    )
    assert isinstance(array, np.ndarray)
    return array


def _archive(stream: BinaryIO) -> Arrays:
    found: Arrays = {}
    with _members(stream) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            with archive.open(info) as member:
                _check_header(member, info.file_size, f"array '{name}'")
            with archive.open(info) as member:
                found[name] = np.lib.format.read_array(member, allow_pickle=False)
    return found


@contextmanager
def _members(stream: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """An archive whose arrays fit memory."""
    with zipfile.ZipFile(stream) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST:
            raise ValueError(f"its arrays take {size} bytes, {LARGEST} at most are read")
        check_inflated(size, os.fstat(stream.fileno()).st_size)
        yield archive


def _check_header(stream: IO[bytes], available: int, what: str) -> None:
    """Raise for an array that is not of plain numbers, or that its file does not have."""
    try:
        shape, dtype = _header(stream)
    except ValueError as error:
        raise ValueError(f"{what} is not in NumPy's format: {error}") from error
    if dtype.kind not in "biuf":
        raise ValueError(f"{what} is of {str(dtype)[:80]}, not of plain numbers")
    needed = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or needed > available:
        raise ValueError(f"{what} of shape {list(shape)} is not in {available} bytes")
