"""Pools over H and W."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt

import numpy as np

from hexconv.errors import UnsupportedOpError
from hexconv.lowering import depthwise
from hexconv.lowering.context import Context
from hexconv.lowering.conv_emitter import ConvEmitter
from hexconv.lowering.pad import filled
from hexconv.lowering.registry import Tie, lowers
from hexconv.lowering.slice_concat import cut, sliced
from hexconv.lowering.window import Window, mode, windows
from hexconv.nnlib.builder import RangeSource, Tensor
from hexconv.nnlib.constraints import KEPT_COLUMNS
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range

L2_POOL = "QuantizedL2Pool_8"
NARROWER = 2.0
"""Of the range of what is averaged, that of the means is a part as small as this: one bit."""


@lowers("MaxPool", tie=Tie.COPY, integers=True)
def max_pool(node: NodeView, ctx: Context) -> None:
    """QuantizedMaxPool_8; padding that no mode provides is a Pad with the lowest value.

    The library has no dilation: the maximum of the taps, each a strided slice, first along H,
    then along W.
    """
    source, output = node.input(0), node.outputs[0]
    if len(node.outputs) > 1 and node.outputs[1]:
        raise UnsupportedOpError(
            "the Indices output of MaxPool",
            why="the library does not compute it",
            hint="export the model without indices",
        )
    layout, axes, counts = _axes(node, ctx)
    tensor = ctx.take(source, layout)
    dilated = any(axis.dilation > 1 for axis in axes)
    padding = None if dilated or _beside_rows(axes[1], counts[1]) else mode(axes, counts)
    if padding is None:
        # Padding must never be the maximum: -inf is the lowest value of any range.
        tensor = _padded(ctx, tensor, axes, counts, output, lowest=True)
        axes = _fitting(tensor, axes)
        padding = Padding.VALID
    if dilated:
        for place, (axis, count) in enumerate(zip(axes, counts, strict=True), start=1):
            tensor = _max_of_taps(ctx, tensor, place, axis, count, f"{output}/taps{place}")
    else:
        tensor = _pool(ctx, "QuantizedMaxPool_8", tensor, axes, counts, padding, output)
    ctx.bind(output, layout, tensor)


def _beside_rows(columns: Window, count: int) -> bool:
    """Whether windows read more columns of padding than the library keeps beside each row."""
    after = (count - 1) * columns.stride + columns.extent - columns.size - columns.before
    return count > 1 and max(columns.before, after) > KEPT_COLUMNS


@lowers("AveragePool")
def average_pool(node: NodeView, ctx: Context) -> None:
    """QuantizedAvgPool_8 of windows inside the input; all else was decomposed.

    Its output range depends on the data where a single window is left, and its padded windows are
    not exact (docs/nnlib/quirks.md#output-ranges; op_avgpool_d32.c). It returns the range of its
    input: where means need half of that or less, a convolution returns them in their own.
    """
    source, output = node.input(0), node.outputs[0]
    node.done("count_include_pad")
    layout, axes, counts = _axes(node, ctx)
    tensor = ctx.take(source, layout)
    static = tensor.source is not RangeSource.RUN_TIME
    narrow = ctx.range(output).step * NARROWER <= tensor.range.step
    if static and narrow and depthwise.runs(axes, 1):
        pooled = _averaged(ctx, tensor, axes, counts, output)
    else:
        pooled = _pool(ctx, "QuantizedAvgPool_8", tensor, axes, counts, Padding.VALID, output)
    ctx.bind(output, layout, pooled)


def _averaged(
    ctx: Context, tensor: Tensor, axes: Sequence[Window], counts: Sequence[int], name: str
) -> Tensor:
    """Means over windows as a convolution of equal weights, a group for each channel."""
    height, width, channels = axes[0].kernel, axes[1].kernel, tensor.shape[3]
    kernel = np.full((height, width, 1, channels), 1.0 / (height * width), np.float32)
    bias = np.zeros(channels, np.float32)
    emitter = ConvEmitter(ctx, name, counts)
    if channels == 1:
        return emitter.dense(tensor, kernel, bias, axes)
    return depthwise.lower(emitter, tensor, kernel, bias, axes)


@lowers("LpPool")
def l2_pool(node: NodeView, ctx: Context) -> None:
    """QuantizedL2Pool_8, the root of the MEAN square of each window, times the root of its area.

    Its range is the width of the input's. Windows leave no row or column unused: VALID returns
    wrong values where two or more are left (docs/nnlib/quirks.md#l2pool).
    """
    source, output = node.input(0), node.outputs[0]
    order = int(node.attr("p", 2))
    layout, axes, counts = _axes(node, ctx)
    if order != 2 or any(axis.dilation > 1 for axis in axes):
        raise UnsupportedOpError(
            f"a norm of order {order} over windows with dilations "
            f"{[axis.dilation for axis in axes]}",
            why="the library has p = 2 undilated; powers of 8-bit values vanish near zero",
            hint="use p = 1 or an undilated p = 2",
        )
    tensor = ctx.take(source, layout, static=True)
    tensor = _padded(ctx, tensor, axes, counts, output, lowest=False)
    axes = _fitting(tensor, axes)
    pooled = _pool(ctx, L2_POOL, tensor, axes, counts, Padding.VALID, output)
    area = axes[0].kernel * axes[1].kernel
    ctx.bind(output, layout, ctx.rescaled(pooled, sqrt(area), output))


def _axes(node: NodeView, ctx: Context) -> tuple[Layout, list[Window], list[int]]:
    shape, result = ctx.shape(node.input(0)), ctx.shape(node.outputs[0])
    kernel = list(node.attr("kernel_shape"))
    node.done("ceil_mode", "storage_order")
    _check_rank(shape)
    axes = windows(node, shape[2:], kernel)
    counts = list(result[2:])
    if len(axes) == 1:
        axes, counts = [Window(1, 1), *axes], [1, *counts]
    return Layout.channels_last(len(shape)), axes, counts


def _check_rank(shape: Sequence[int]) -> None:
    if len(shape) not in (3, 4):
        raise UnsupportedOpError(
            f"a pool over {len(shape) - 2} axes",
            why="the library has 1-D and 2-D only",
            hint="pool one axis after the other",
        )


def _pool(
    ctx: Context,
    op: str,
    tensor: Tensor,
    axes: Sequence[Window],
    counts: Sequence[int],
    padding: Padding,
    name: str,
) -> Tensor:
    builder = ctx.builder
    inputs = [
        *tensor.data_min_max,
        builder.extent(f"{name}/window", axes[0].kernel, axes[1].kernel),
        builder.extent(f"{name}/stride", axes[0].stride, axes[1].stride),
    ]
    shape = (tensor.shape[0], counts[0], counts[1], tensor.shape[3])
    value_range = Range(tensor.range.step, 0) if op == L2_POOL else tensor.range
    return builder.quantized(
        op, inputs, shape, value_range, name=name, source=tensor.source, padding=padding
    )


def _padded(
    ctx: Context,
    tensor: Tensor,
    axes: Sequence[Window],
    counts: Sequence[int],
    name: str,
    *,
    lowest: bool,
) -> Tensor:
    """H and W as long as the windows reach: padded with zero or the lowest value, or cropped."""
    rows = [(0, 0), (0, 0), (0, 0), (0, 0)]
    for place, (axis, count) in enumerate(zip(axes, counts, strict=True), start=1):
        after = (count - 1) * axis.stride + axis.extent - axis.size - axis.before
        if after < 0:
            tensor = sliced(ctx, tensor, place, 0, axis.size + after, f"{name}/used{place}")
        rows[place] = (axis.before, max(after, 0))
    if not any(map(any, rows)):
        return tensor
    # The lowest code whatever the range is by then: prepare may move a Relu into a convolution.
    value = -inf if lowest else 0.0
    return filled(ctx, tensor, rows, value, f"{name}/padded")


def _fitting(tensor: Tensor, axes: Sequence[Window]) -> list[Window]:
    """The windows on a tensor that is exactly as long as they reach."""
    return [
        Window(size, axis.kernel, axis.stride, axis.dilation)
        for size, axis in zip(tensor.shape[1:3], axes, strict=True)
    ]


def _max_of_taps(
    ctx: Context, tensor: Tensor, place: int, axis: Window, count: int, name: str
) -> Tensor:
    """The maximum over the taps of one axis (QuantizedMaximum_8 of one range is exact)."""
    best: Tensor | None = None
    for tap in range(axis.kernel):
        start = tap * axis.dilation
        bounds = (start, start + (count - 1) * axis.stride + 1, axis.stride)
        part = cut(ctx, tensor, {place: bounds}, f"{name}/{tap}")
        best = part if best is None else _larger(ctx, best, part, f"{name}/max{tap}")
    assert best is not None
    return best


def _larger(ctx: Context, left: Tensor, right: Tensor, name: str) -> Tensor:
    inputs = [
        left.data,
        right.data,
        left.min,
        left.max,
        right.min,
        right.max,
        left.min,
        left.max,
    ]
    return ctx.copied("QuantizedMaximum_8", inputs, left, left.shape, name)


@lowers("GlobalMaxPool", tie=Tie.COPY)
def global_max_pool(node: NodeView, ctx: Context) -> None:
    """One window over H and W."""
    source, output = node.input(0), node.outputs[0]
    shape = ctx.shape(source)
    _check_rank(shape)
    layout = Layout.channels_last(len(shape))
    ctx.bind(output, layout, largest(ctx, ctx.take(source, layout), (1, 2), output))


def l2_norm(ctx: Context, tensor: Tensor, name: str) -> Tensor:
    """The root of the sum of squares along W, which keeps the size 1; the range must be static."""
    _, h, w, _ = tensor.shape
    axes = [Window(h, 1), Window(w, w)]
    pooled = _pool(ctx, L2_POOL, tensor, axes, [h, 1], Padding.VALID, f"{name}/mean")
    return ctx.rescaled(pooled, sqrt(w), name)


def largest(ctx: Context, tensor: Tensor, places: Sequence[int], name: str) -> Tensor:
    """The maximum over H, W or both, sizes kept as 1 (QuantizedMaxPool_8)."""
    _, h, w, _ = tensor.shape
    axes = [Window(size, size if place in places else 1) for place, size in ((1, h), (2, w))]
    counts = [1 if place in places else size for place, size in ((1, h), (2, w))]
    return _pool(ctx, "QuantizedMaxPool_8", tensor, axes, counts, Padding.VALID, name)
