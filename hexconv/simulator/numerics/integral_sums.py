"""Window sums as the library's integral buffer computes them (nnlib integral_buffer.c).

Where a window reaches beyond the tensor, the library continues the integral image by what the
rest of the window contains, scaled with 15 fraction bits: approximately the mean over the inside.
"""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.simulator.numerics.hvx import Int, mul_frac32, wrap32
from hexconv.simulator.numerics.window import WindowAxis


def window_sums(data: Array, height: WindowAxis, width: WindowAxis) -> Int:
    """256 times the sum of each window, int32; windows at the border count as full.

    Args:
        data: (B,H,W,D) uint8.
        height: its plan, simplified.
        width: its plan, simplified.
    """
    batches, rows, columns, depth = data.shape
    image = np.zeros((batches, rows + 1, columns + 1, depth), np.int64)
    image[:, 1:, 1:] = data
    image = (image.cumsum(axis=1).cumsum(axis=2)) << 8
    image = _continue(_continue(image, width, 2), height, 1)
    return wrap32(_differences(_differences(image, height, 1), width, 2))


def _continue(image: Int, axis: WindowAxis, dimension: int) -> Int:
    """The image with its paddings before and after along one dimension."""
    if not (axis.before or axis.after):
        return image
    lines = np.moveaxis(image, dimension, 0)
    beyond_reach = max(0, axis.window - 1 - axis.size)
    before = []
    for p in range(axis.before, 0, -1):
        if p <= beyond_reach:
            before.append(np.zeros_like(lines[0]))
        else:
            before.append(mul_frac32(lines[axis.window - p], edge_scale(p, axis, beyond_reach)))
    total = lines[axis.size]
    after = []
    for p in range(1, axis.after + 1):
        inside = total - lines[axis.size - min(axis.size, axis.window - p)]
        after.append(total - mul_frac32(inside, edge_scale(p, axis, beyond_reach)))
    return np.moveaxis(np.stack([*before, *lines, *after]), 0, dimension)


def edge_scale(p: int, axis: WindowAxis, beyond_reach: int) -> int:
    """`integ_buf_find_padding_scales`: -p/(window - p), 15 fraction bits."""
    p = max(p, beyond_reach + 1)
    inside = axis.window - p
    if inside <= p:
        return -0x8000
    reciprocal = 0x7FFFFFFF if inside == 1 else ((1 << 32) // inside + 1) >> 1
    return -((reciprocal * p + 0x8000) >> 16)


def _differences(image: Int, axis: WindowAxis, dimension: int) -> Int:
    value_range = (axis.out - 1) * axis.stride + 1
    index: list[slice] = [slice(None)] * 4
    index[dimension] = slice(0, value_range, axis.stride)
    start = image[tuple(index)]
    index[dimension] = slice(axis.window, axis.window + value_range, axis.stride)
    difference: Int = image[tuple(index)] - start
    return difference
