"""Tensors as MACE's tools read and write them: raw little-endian float32 files, and their names.

A `.npy` file does not serve: MACE would read its header as the first values.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from hexconv.arrays import FloatArray
from hexconv.errors import RangeError
from hexconv.files import read_bytes

DataFormat = Literal["NONE", "NHWC", "NCHW"]
"""What MACE's applications declare about a tensor's axes."""

DATA_FORMATS: tuple[DataFormat, ...] = get_args(DataFormat)
NOT_NCHW = (
    "MACE reads it as a 4-D tensor: it passes the first run's bytes as they "
    "are, and transposes those of every later run"
)
"""Why an input of other than 4 axes must not be declared NCHW (GetInputTransposeDims)."""

SUFFIX = ".bin"
SUFFIXES = (SUFFIX, ".raw", "")
"""Of raw files; MACE's own have none."""

LITTLE = np.dtype("<f4")


def file_name(prefix: str, tensor: str) -> str:
    """The file of a tensor that MACE looks for: `prefix_` and the name, `_` for what is no letter.

    MACE's C++ looks at bytes (mace/tools/mace_run.cc FormatName), its Python at characters
    (tools/python/utils/util.py formatted_file_name): they agree on ASCII names only, and the
    C++, which opens the file, decides.
    """
    return f"{prefix}_{plain_name(tensor)}"


def plain_name(tensor: str) -> str:
    """A tensor's name as MACE's C++ writes it in a file name: bytes that are no letters are `_`."""
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else "_" for byte in tensor.encode()
    )


def four_sizes(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape as MACE's DSP runtime reads it: leading ones, or the leading axes as one.

    The bytes of the tensor are the same in both shapes.
    """
    lead = len(shape) - 3
    return (1,) * (4 - len(shape)) + (
        tuple(shape) if lead < 2 else (prod(shape[:lead]), *shape[lead:])
    )


def in_format(shape: Sequence[int], form: DataFormat) -> tuple[int, ...]:
    """An ONNX shape as an application sees it: 4-D NHWC has its channels last."""
    if form == "NHWC" and len(shape) == 4:
        return shape[0], shape[2], shape[3], shape[1]
    return tuple(shape)


def from_format(shape: Sequence[int], form: DataFormat) -> tuple[int, ...]:
    """The ONNX shape of what an application sees: the inverse of `in_format`."""
    if form == "NHWC" and len(shape) == 4:
        return shape[0], shape[3], shape[1], shape[2]
    return tuple(shape)


def to_raw(array: FloatArray, form: DataFormat = "NONE") -> bytes:
    """The bytes of a tensor.

    Args:
        array: in the ONNX order of axes.
        form: in which the application passes it.
    """
    if form == "NHWC" and array.ndim == 4:
        array = array.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(array, LITTLE).tobytes()


def from_raw(content: bytes, shape: Sequence[int], form: DataFormat = "NONE") -> FloatArray:
    """Tensors from their bytes.

    Args:
        content: of one tensor, or of several one after another.
        shape: of one, as the ONNX model has it.
        form: in which the application passes it.

    Returns:
        float32 of `shape`; of (count, *shape) where there are several.

    Raises:
        ValueError: the bytes are not a whole number of tensors.
    """
    size = 4 * prod(shape)
    if not content or len(content) % size:
        raise ValueError(f"{len(content)} bytes; one tensor of {_sizes(shape)} needs {size}")
    arrays = np.frombuffer(content, LITTLE).reshape(-1, *in_format(shape, form))
    if form == "NHWC" and len(shape) == 4:
        arrays = arrays.transpose(0, 1, 4, 2, 3)
    result = np.ascontiguousarray(arrays, np.float32)
    return result[0] if len(result) == 1 else result


def read_raw(path: Path, shape: Sequence[int], form: DataFormat = "NONE") -> FloatArray:
    """As `from_raw`, of a file.

    Raises:
        FileError: it cannot be read.
        RangeError: it is a NumPy file, or its size does not fit the shape.
    """
    content = read_bytes(path, "raw tensor")
    if content.startswith(b"\x93NUMPY"):
        raise RangeError(
            "this is a NumPy file, not a raw tensor",
            where=str(path),
            hint=f"give it the suffix .npy, or write array.astype('<f4').tofile('x{SUFFIX}')",
        )
    try:
        return from_raw(content, shape, form)
    except ValueError as error:
        raise RangeError(
            "the raw tensor has another size than the input",
            where=str(path),
            why=str(error),
            hint="raw files contain little-endian float32 of the input's shape, nothing else",
        ) from None


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "one value"
