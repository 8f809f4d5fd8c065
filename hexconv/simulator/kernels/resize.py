"""ResizeBilinear and ResizeNearestNeighbor (op_resizebilinear_d32.c, resizebilinear_d32_h.S,
op_resizebilinear.c, op_resizenear.c)."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.slice_pad import integers
from hexconv.simulator.numerics.fixed_point import F32
from hexconv.simulator.numerics.hvx import Int, mul_frac, satu8
from hexconv.simulator.registry import KernelCall, kernel


def _sizes(call: KernelCall) -> tuple[int, int, bool]:
    """New height, new width, align_corners."""
    height, width = integers(call.inputs[1])[:2]
    if height < 1 or width < 1:
        raise GraphError(f"a resize to {height}x{width}", where=call.op)
    return height, width, len(call.inputs) > 4 and int(call.inputs[4].flat[0]) != 0


@kernel("ResizeNearestNeighbor_8")
def nearest(call: KernelCall) -> list[Array]:
    """`resizenear_8_execute`: float32 positions, truncated, or with align_corners rounded."""
    height, width, align = _sizes(call)
    data = call.inputs[0]
    # With align_corners and one output row or column, both scales are the plain ones.
    shrink = 1 if align and height > 1 and width > 1 else 0
    rows = _nearest_positions(data.shape[1], height, shrink, align=align)
    columns = _nearest_positions(data.shape[2], width, shrink, align=align)
    return [data[:, rows][:, :, columns], *call.inputs[2:4]]


def _nearest_positions(size: int, new_size: int, shrink: int, *, align: bool) -> Int:
    scale = F32(F32(size - shrink) / F32(new_size - shrink))
    positions = np.arange(new_size, dtype=np.float32) * scale
    if not align:
        cut: Int = positions.astype(np.int64)
        return cut
    rounded = np.floor(positions.astype(np.float64) + 0.5).astype(np.int64)
    nearest: Int = np.minimum(rounded, size - 1)
    return nearest


@kernel("QuantizedResizeBilinear_8_d32")
def bilinear_d32(call: KernelCall) -> list[Array]:
    """`resize_bilinear_d32_execute`: twice the size has its own algorithm."""
    height, width, align = _sizes(call)
    data = call.inputs[0]
    old_height, old_width = data.shape[1:3]
    if not align and (height, width) == (2 * old_height, 2 * old_width):
        resized = _double_d32(data)
    elif (height, width) == (old_height, old_width):
        resized = data
    else:
        resized = _fixed_point(data, height, width, align=align)
    return [resized, *call.inputs[2:4]]


def _double_d32(data: Array) -> Array:
    """`do_bilin_interp_x2_single_slice_HVX`.

    Means along a row are truncated. Means between rows are truncated too, but for the row's last
    vector of 1..4 input columns, where they are rounded; the last row is repeated.
    """
    _, height, width, _ = data.shape
    wide = data.astype(np.uint16)
    right = np.concatenate([wide[:, :, 1:], wide[:, :, -1:]], axis=2)
    rows = np.stack([wide, (wide + right) >> 1], axis=3)
    rows = rows.reshape(data.shape[0], height, 2 * width, data.shape[3])
    below = np.concatenate([rows[:, 1:], rows[:, -1:]], axis=1)
    rounding = np.zeros((2 * width, 1), np.uint16)
    rounding[8 * ((width - 1) // 4) :] = 1
    between = (rows + below + rounding) >> 1
    doubled = np.stack([rows, between], axis=2)
    return doubled.reshape(data.shape[0], 2 * height, 2 * width, -1).astype(np.uint8)


def _steps(size: int, new_size: int, bias: int, *, align: bool) -> Int:
    """Positions with 32 fraction bits, plus a rounding bias."""
    shrink = 1 if align and new_size > 1 else 0
    size, parts = size - shrink, new_size - shrink
    step = ((size << 32) + (parts >> 1)) // parts
    return np.arange(new_size, dtype=np.int64) * step + bias


def _fixed_point(data: Array, height: int, width: int, *, align: bool) -> Array:
    """`do_bilin_interp_general_all_HVX`: rows with 7 fraction bits, then columns with 15."""
    last_row, last_column = data.shape[1] - 1, data.shape[2] - 1
    y = _steps(data.shape[1], height, 1 << 24, align=align)
    inside = (y >> 32) < last_row
    top = np.where(inside, y >> 32, last_row)
    weight = np.where(inside, (y & 0xFFFFFFFF) >> 25, 0)[:, None, None]
    # Rows have 7 fraction bits, so that what follows stays within int32.
    weight = weight.astype(np.int32)
    below = data[:, np.minimum(top + 1, last_row)]
    rows = data[:, top] * (128 - weight) + below * weight
    x = _steps(data.shape[2], width, 1 << 16, align=align)
    inside = (x >> 32) < last_column
    left = np.where(inside, x >> 32, last_column)
    fraction = np.where(inside, (x & 0xFFFFFFFF) >> 17, 0)[:, None].astype(np.int32)
    start = rows[:, :, left]
    rest = rows[:, :, np.minimum(left + 1, last_column)] - start
    moved = start + ((rest * fraction * 2 + 0x8000) >> 16)
    codes: Array = ((moved + 64) >> 7).astype(np.uint8)
    return codes


@kernel("QuantizedResizeBilinear_8")
def bilinear_flat(call: KernelCall) -> list[Array]:
    """`resizebilinear_qu8_execute`: twice, four times, the same size, or in float32."""
    height, width, align = _sizes(call)
    data = call.inputs[0]
    _, old_height, old_width, depth = data.shape
    even_depth = depth & (depth - 1) == 0
    even_width = depth >= 128 or old_width & (old_width - 1) == 0
    times = (height // old_height, width // old_width)
    exact = (height, width) == (times[0] * old_height, times[1] * old_width) and not align
    if exact and times == (2, 2) and even_depth and even_width:
        resized = _multiply(data, 2)
    elif exact and times == (4, 4) and even_depth and depth < 32:
        resized = _multiply(data, 4)
    elif (height, width) == (old_height, old_width):
        resized = data
    elif align and width == 4 * old_width and old_width % 3 == 1 and old_width * depth < 384:
        resized = _aligned_times_four(data, height, width)
    else:
        resized = _in_float(data, height, width, align=align)
    return [resized, *call.inputs[2:4]]


def _multiply(data: Array, times: int) -> Array:
    """`resizebilinear_2x` and `_4x`: exact weights, one rounding, edges repeated."""
    batches, height, width, depth = data.shape
    wide = np.pad(data.astype(np.int32), ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge")
    weight = np.arange(times)
    down = weight[:, None, None]
    rows = wide[:, :-1, None] * (times - down) + wide[:, 1:, None] * down
    across = weight[:, None]
    both = rows[..., :-1, None, :] * (times - across) + rows[..., 1:, None, :] * across
    rounded = (both + times * times // 2) // (times * times)
    return rounded.reshape(batches, height * times, width * times, depth).astype(np.uint8)


def _aligned_times_four(data: Array, height: int, width: int) -> Array:
    """`resizebilinear_hvx`: columns with 7 fraction bits, then rows with 15."""
    last_row, last_column = data.shape[1] - 1, data.shape[2] - 1
    x = _steps(data.shape[2], width, 1 << 16, align=True)
    inside = (x >> 32) < last_column
    left = np.where(inside, x >> 32, last_column)
    weight = np.where(inside, (x & 0xFFFFFFFF) >> 25, 0)[:, None]
    wide = data.astype(np.int64)
    right = wide[:, :, np.minimum(left + 1, last_column)]
    columns = wide[:, :, left] * (128 - weight) + right * weight
    y = _steps(data.shape[1], height, 1 << 16, align=True)
    inside = (y >> 32) < last_row
    top = np.where(inside, y >> 32, last_row)
    fraction = np.where(inside, ((y + (1 << 16)) & 0xFFFFFFFF) >> 17, 0)[:, None, None]
    start = columns[:, top]
    rest = columns[:, np.minimum(top + 1, last_row)] - start
    return satu8((start + mul_frac(rest, fraction) + 64) >> 7)


def _in_float(data: Array, height: int, width: int, *, align: bool) -> Array:
    """`resizebilinear_general`: float32 throughout."""
    top, below, down = _float_positions(data.shape[1], height, align=align)
    left, right, across = _float_positions(data.shape[2], width, align=align)
    wide = data.astype(np.float32)
    across, down = across[:, None], down[:, None, None]
    upper = _between(wide[:, top][:, :, left], wide[:, top][:, :, right], across)
    lower = _between(wide[:, below][:, :, left], wide[:, below][:, :, right], across)
    rounded: Array = (_between(upper, lower, down) + F32(0.5)).astype(np.uint8)
    return rounded


def _between(start: Array, end: Array, fraction: Array) -> Array:
    result: Array = start + (end - start) * fraction
    return result


def _float_positions(size: int, new_size: int, *, align: bool) -> tuple[Int, Int, Array]:
    shrink = 1 if align else 0
    if new_size == shrink:
        raise GraphError("a flat ResizeBilinear with align_corners to one row or column")
    scale = F32(F32(size - shrink) / F32(new_size - shrink))
    position = np.arange(new_size, dtype=np.float32) * scale
    whole = np.floor(position)
    start = np.minimum(whole.astype(np.int64), size - 1)
    return start, np.minimum(whole.astype(np.int64) + 1, size - 1), position - whole
