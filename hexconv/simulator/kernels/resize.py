"""ResizeBilinear and ResizeNearestNeighbor (op_resizebilinear_d32.c, resizebilinear_d32_h.S,
op_resizebilinear.c, op_resizenear.c)."""

from __future__ import annotations

from typing import Any, NamedTuple

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
    data = call.inputs[0]
    rows, columns = nearest_places(data.shape, *_sizes(call))
    return [data[:, rows][:, :, columns], *call.inputs[2:4]]


def nearest_places(shape: tuple[int, ...], height: int, width: int, align: bool) -> tuple[Int, Int]:
    """The rows and columns that a resize to height and width takes."""
    # With align_corners and one output row or column, both scales are the plain ones.
    shrink = 1 if align and height > 1 and width > 1 else 0
    return (
        _nearest_positions(shape[1], height, shrink, align=align),
        _nearest_positions(shape[2], width, shrink, align=align),
    )


def _nearest_positions(size: int, new_size: int, shrink: int, *, align: bool) -> Int:
    scale = F32(F32(size - shrink) / F32(new_size - shrink))
    positions = np.arange(new_size, dtype=np.float32) * scale
    if not align:
        cut: Int = positions.astype(np.int64)
        return cut
    rounded = np.floor(positions.astype(np.float64) + 0.5).astype(np.int64)
    nearest: Int = np.minimum(rounded, size - 1)
    return nearest


class ResizeAxis(NamedTuple):
    """Each new position lies between two old ones, `weight` of the way to the second."""

    first: Int
    second: Int
    weight: Array


class ResizePlan(NamedTuple):
    """How a bilinear resize is computed: one of the library's ways, and where to look.

    `way` is "copy", "double", "fixed", "times 2", "times 4", "aligned" or "float".
    """

    way: str
    rows: ResizeAxis | None = None
    columns: ResizeAxis | None = None


def plan_d32(shape: tuple[int, ...], height: int, width: int, align: bool) -> ResizePlan:
    """`resize_bilinear_d32_execute`: twice the size has its own algorithm."""
    _, old_height, old_width, _ = shape
    if not align and (height, width) == (2 * old_height, 2 * old_width):
        return ResizePlan("double", _means(old_height), _means(old_width))
    if (height, width) == (old_height, old_width):
        return ResizePlan("copy")
    return ResizePlan(
        "fixed",
        _fixed_axis(old_height, height, 1 << 24, 7, align=align),
        _fixed_axis(old_width, width, 1 << 16, 15, align=align),
    )


def plan_flat(shape: tuple[int, ...], height: int, width: int, align: bool) -> ResizePlan:
    """`resizebilinear_qu8_execute`: twice, four times, the same size, or in float32."""
    _, old_height, old_width, depth = shape
    even_depth = depth & (depth - 1) == 0
    even_width = depth >= 128 or old_width & (old_width - 1) == 0
    times = (height // old_height, width // old_width)
    exact = (height, width) == (times[0] * old_height, times[1] * old_width) and not align
    if exact and times == (2, 2) and even_depth and even_width:
        return ResizePlan("times 2", _whole_axis(old_height, 2), _whole_axis(old_width, 2))
    if exact and times == (4, 4) and even_depth and depth < 32:
        return ResizePlan("times 4", _whole_axis(old_height, 4), _whole_axis(old_width, 4))
    if (height, width) == (old_height, old_width):
        return ResizePlan("copy")
    if align and width == 4 * old_width and old_width % 3 == 1 and old_width * depth < 384:
        return ResizePlan(
            "aligned",
            _fixed_axis(old_height, height, 1 << 16, 15, align=True, late=1 << 16),
            _fixed_axis(old_width, width, 1 << 16, 7, align=True),
        )
    return ResizePlan(
        "float",
        _float_axis(old_height, height, align=align),
        _float_axis(old_width, width, align=align),
    )


def _means(size: int) -> ResizeAxis:
    """Every old position, and its mean with the next."""
    new = np.arange(2 * size)
    return ResizeAxis(new // 2, np.minimum(new // 2 + new % 2, size - 1), new % 2)


def _whole_axis(size: int, times: int) -> ResizeAxis:
    """Weights are whole parts of `times`; the edge is repeated."""
    new = np.arange(times * size)
    return ResizeAxis(new // times, np.minimum(new // times + 1, size - 1), new % times)


def _fixed_axis(
    size: int, new_size: int, bias: int, bits: int, *, align: bool, late: int = 0
) -> ResizeAxis:
    """Weights of `bits` fraction bits; positions have 32, plus a rounding bias.

    `late` is added once more before the fraction is cut.
    """
    shrink = 1 if align and new_size > 1 else 0
    old, parts = size - shrink, new_size - shrink
    step = ((old << 32) + (parts >> 1)) // parts
    position = np.arange(new_size, dtype=np.int64) * step + bias
    inside = (position >> 32) < size - 1
    first = np.where(inside, position >> 32, size - 1)
    weight = np.where(inside, ((position + late) & 0xFFFFFFFF) >> (32 - bits), 0)
    return ResizeAxis(first, np.minimum(first + 1, size - 1), weight)


def _float_axis(size: int, new_size: int, *, align: bool) -> ResizeAxis:
    shrink = 1 if align else 0
    if new_size == shrink:
        raise GraphError("a flat ResizeBilinear with align_corners to one row or column")
    scale = F32(F32(size - shrink) / F32(new_size - shrink))
    position = np.arange(new_size, dtype=np.float32) * scale
    whole = np.floor(position)
    first = np.minimum(whole.astype(np.int64), size - 1)
    second = np.minimum(whole.astype(np.int64) + 1, size - 1)
    return ResizeAxis(first, second, position - whole)


def late_rounding(width: int) -> Int:
    """Added to sums of two rows of a doubled tensor: 1 in a row's last vector of 1..4 columns."""
    return (np.arange(2 * width) >= 8 * ((width - 1) // 4)).astype(np.int64)


@kernel("QuantizedResizeBilinear_8_d32", "QuantizedResizeBilinear_8")
def bilinear(call: KernelCall) -> list[Array]:
    """Bilinear, in the way that the library has for these sizes."""
    plan = plan_d32 if call.op.endswith("_d32") else plan_flat
    data = call.inputs[0]
    found = call.memo(f"plan {data.shape}", lambda: plan(data.shape, *_sizes(call)))
    return [_resized(data, found), *call.inputs[2:4]]


def _resized(data: Array, plan: ResizePlan) -> Array:
    if plan.rows is None or plan.columns is None:
        return data
    if plan.way == "double":
        return _double(data, plan.rows, plan.columns)
    if plan.way == "fixed":
        return _fixed_point(data, plan.rows, plan.columns)
    if plan.way == "aligned":
        return _aligned(data, plan.rows, plan.columns)
    if plan.way == "float":
        return _in_float(data, plan.rows, plan.columns)
    return _whole(data, plan.rows, plan.columns, int(plan.way[-1]))


def _double(data: Array, rows: ResizeAxis, columns: ResizeAxis) -> Array:
    """`do_bilin_interp_x2_single_slice_HVX`.

    Means along a row are truncated. Means between rows are truncated too, but for the row's last
    vector, where they are rounded; the last row is repeated.
    """
    wide = data.astype(np.uint16)
    across = (wide[:, :, columns.first] + wide[:, :, columns.second]) >> 1
    rounding = late_rounding(data.shape[2]).astype(np.uint16)[:, None]
    between = (across[:, rows.first] + across[:, rows.second] + rounding) >> 1
    return between.astype(np.uint8)


def _fixed_point(data: Array, rows: ResizeAxis, columns: ResizeAxis) -> Array:
    """`do_bilin_interp_general_all_HVX`: rows with 7 fraction bits, then columns with 15."""
    # Rows have 7 fraction bits, so that what follows stays within int32.
    weight = rows.weight.astype(np.int32)[:, None, None]
    lines = data[:, rows.first] * (128 - weight) + data[:, rows.second] * weight
    start = lines[:, :, columns.first]
    rest: Any = lines[:, :, columns.second] - start
    fraction = columns.weight.astype(np.int32)[:, None]
    moved: Array = start + ((rest * fraction * 2 + 0x8000) >> 16)
    codes: Array = ((moved + 64) >> 7).astype(np.uint8)
    return codes


def _whole(data: Array, rows: ResizeAxis, columns: ResizeAxis, times: int) -> Array:
    """`resizebilinear_2x` and `_4x`: exact weights, one rounding, edges repeated."""
    wide = data.astype(np.int32)
    down, across = rows.weight[:, None, None], columns.weight[:, None]
    lines = wide[:, rows.first] * (times - down) + wide[:, rows.second] * down
    both = lines[:, :, columns.first] * (times - across) + lines[:, :, columns.second] * across
    rounded: Array = (both + times * times // 2) // (times * times)
    return rounded.astype(np.uint8)


def _aligned(data: Array, rows: ResizeAxis, columns: ResizeAxis) -> Array:
    """`resizebilinear_hvx`: columns with 7 fraction bits, then rows with 15."""
    wide, weight = data.astype(np.int64), columns.weight[:, None]
    across = wide[:, :, columns.first] * (128 - weight) + wide[:, :, columns.second] * weight
    start = across[:, rows.first]
    rest = across[:, rows.second] - start
    return satu8((start + mul_frac(rest, rows.weight[:, None, None]) + 64) >> 7)


def _in_float(data: Array, rows: ResizeAxis, columns: ResizeAxis) -> Array:
    """`resizebilinear_general`: float32 throughout."""
    wide, weight = data.astype(np.float32), columns.weight[:, None]
    start, end = wide[:, :, columns.first], wide[:, :, columns.second]
    across = start + (end - start) * weight
    upper, lower = across[:, rows.first], across[:, rows.second]
    between = upper + (lower - upper) * rows.weight[:, None, None]
    rounded: Array = (between + F32(0.5)).astype(np.uint8)
    return rounded
