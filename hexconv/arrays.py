"""Array types, and copies of large arrays."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]
Constant = npt.ArrayLike | Path
"""A number, an array, a path of a .npy file, or a text: `300`, `1,2,3`, `true`, `h0.npy`."""

FLOAT32_MAX = float(np.finfo(np.float32).max)
NUMBERS = "biuf"
"""The kinds of types whose numbers are data: booleans, integers, floats."""
WHOLE_FLOATS = 1 << np.finfo(np.float32).nmant + 1
"""Up to it float32 has every integer."""
NOT_IN_FLOAT32 = "float32 cannot hold this integer: above 2^24 it has only some"
BLOCK = 256
LARGE = 1 << 20


def release_pages(array: Array) -> None:
    """Let the system have the memory of an array that is a view of a mapped file.

    The values stay what they are: what is read again is read from the file again.
    """
    owner: Any = array
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if isinstance(owner, mmap.mmap) and hasattr(owner, "madvise"):
        owner.madvise(mmap.MADV_DONTNEED)


def are_numbers(dtype: npt.DTypeLike, *, floats: bool = False) -> bool:
    """Whether arrays of a type are data: floats, or integers and booleans as the same floats.

    Args:
        dtype: of the arrays.
        floats: whether nothing but floats is.
    """
    return np.dtype(dtype).kind in ("f" if floats else NUMBERS)


def not_in_float32(array: Array) -> int | None:
    """The first integer of an array that float32 rounds; None where it holds all, and of floats."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize < np.dtype(np.int32).itemsize:
        return None
    for value in array[(array > WHOLE_FLOATS) | (array < -WHOLE_FLOATS)]:
        if int(np.float32(value)) != int(value):
            return int(value)
    return None


def contiguous(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array in C order; the array itself if it is.

    NumPy copies a transposed matrix line by line, and each line touches every cache line of the
    other side: by blocks the 103 M weights of VGG's first Linear take 0.14 s instead of 0.75.
    """
    if array.ndim < 2 or array.size < LARGE or array.flags.c_contiguous:
        return np.ascontiguousarray(array)
    result = np.empty(array.shape, array.dtype)
    for block in blocks(array.shape):
        result[block] = array[block]
    return result


def blocks(shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Indices of square blocks of the last two axes, which together are everything."""
    for row in range(0, shape[-2], BLOCK):
        for column in range(0, shape[-1], BLOCK):
            yield (..., slice(row, row + BLOCK), slice(column, column + BLOCK))
