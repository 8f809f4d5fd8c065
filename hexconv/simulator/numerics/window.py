"""Windows over height and width: sizes, paddings and sliding views (nn_graph_padding.h)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Padding
from hexconv.simulator.numerics.hvx import Int
from hexconv.simulator.registry import KernelCall


@dataclass(frozen=True)
class WindowAxis:
    """One axis of a window op: sizes, and padding before and after."""

    size: int
    window: int
    stride: int
    out: int
    before: int
    after: int


def plan_axis(size: int, window: int, stride: int, padding: Padding, op: str) -> WindowAxis:
    """`nn_pad_compute_outsize_padding`; NA pads too, with floor(size / stride) outputs."""
    if padding == Padding.VALID:
        out = (size - window) // stride + 1 if size >= window else 0
        total = 0
    elif padding in (Padding.NA, Padding.SAME, Padding.SAME_CAFFE):
        out = size // stride if padding == Padding.NA else -(-size // stride)
        total = max(0, (out - 1) * stride + window - size)
    else:
        raise GraphError(f"{padding.value} is no padding of a window op", where=op)
    if out < 1:
        raise GraphError(f"a window of {window} does not fit into {size}", where=op)
    before = (total + (padding == Padding.SAME_CAFFE)) // 2
    return WindowAxis(size, window, stride, out, before, total - before)


def plan(call: KernelCall, window_at: int = 3, stride_at: int = 4) -> tuple[WindowAxis, WindowAxis]:
    """The height and width axes of a pool whose window and stride are shape-only consts."""
    _, height, width, _ = call.inputs[0].shape
    window, stride = call.inputs[window_at].shape, call.inputs[stride_at].shape
    if window[0] != 1 or window[3] != 1 or stride[0] != 1 or stride[3] != 1:
        raise GraphError("a window and a stride must have the shape 1,h,w,1", where=call.op)
    return (
        plan_axis(height, window[1], stride[1], call.padding, call.op),
        plan_axis(width, window[2], stride[2], call.padding, call.op),
    )


def covered(axis: WindowAxis) -> Int:
    """How many samples inside the tensor each window covers."""
    start = np.arange(axis.out, dtype=np.int64) * axis.stride - axis.before
    return np.minimum(start + axis.window, axis.size) - np.maximum(start, 0)


def bordered(data: Array, rows: Sequence[tuple[int, int]], value: int | float) -> Array:
    """`data` with (before, after) of each axis around it, filled with `value`; always C order.

    As np.pad, which takes ten times as long for small tensors.
    """
    if not any(map(any, rows)):
        return np.ascontiguousarray(data)
    sizes = [before + size + after for size, (before, after) in zip(data.shape, rows, strict=True)]
    result = np.full(sizes, value, data.dtype)
    result[tuple(slice(r[0], r[0] + size) for size, r in zip(data.shape, rows, strict=True))] = data
    return result


def pad_space(data: Array, height: WindowAxis, width: WindowAxis, value: int | float) -> Array:
    """`data` with a border of `value` as wide as the paddings."""
    border = ((0, 0), (height.before, height.after), (width.before, width.after), (0, 0))
    return bordered(data, border, value)


def taps(padded: Array, height: WindowAxis, width: WindowAxis) -> list[Array]:
    """One strided view per window position; each is (B, out height, out width, D)."""
    last_row = (height.out - 1) * height.stride + 1
    last_column = (width.out - 1) * width.stride + 1
    return [
        padded[:, y : y + last_row : height.stride, x : x + last_column : width.stride]
        for y in range(height.window)
        for x in range(width.window)
    ]


def max_over_windows(padded: Array, height: WindowAxis, width: WindowAxis) -> Array:
    """The maximum of each window, rows first and columns then."""
    rows = _max_along(padded, height, 1)
    return _max_along(rows, width, 2)


def _max_along(data: Array, axis: WindowAxis, dimension: int) -> Array:
    value_range = (axis.out - 1) * axis.stride + 1
    result: Array | None = None
    for offset in range(axis.window):
        index: list[slice] = [slice(None)] * 4
        index[dimension] = slice(offset, offset + value_range, axis.stride)
        view = data[tuple(index)]
        if result is None:
            result = view.copy()
        else:
            np.maximum(result, view, out=result)
    if result is None:
        raise GraphError("a window of no size")
    return result
