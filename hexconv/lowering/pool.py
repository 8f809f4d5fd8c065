"""Pools over H and W."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hexconv.errors import Refusal
from hexconv.lowering.builder import Tensor
from hexconv.lowering.context import Context
from hexconv.lowering.registry import Tie, lowers
from hexconv.lowering.pieces import sliced
from hexconv.lowering.window import Window, mode, windows
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView


@lowers("MaxPool", tie=Tie.COPY)
def max_pool(node: NodeView, ctx: Context) -> None:
    """QuantizedMaxPool_8; padding that no mode has is a Pad with the lowest code."""
    source, output = node.input(0), node.outputs[0]
    if len(node.outputs) > 1 and node.outputs[1]:
        raise Refusal("the Indices output of MaxPool", why="the library does not compute it")
    layout, axes, counts = _axes(node, ctx)
    if any(axis.dilation > 1 for axis in axes):
        raise Refusal("a dilated MaxPool", why="the library has none")
    tensor = ctx.take(source, layout)
    padding = mode(axes, counts)
    if padding is None:
        # Padding must never win: the lowest value of the range is -inf to a maximum.
        tensor, axes = _padded_with(ctx, tensor, axes, counts, output)
        padding = Padding.VALID
    ctx.bind(output, layout, _pool(ctx, "QuantizedMaxPool_8", tensor, axes, counts, padding, output))


@lowers("AveragePool")
def average_pool(node: NodeView, ctx: Context) -> None:
    """Without padding QuantizedAvgPool_8, else a depthwise convolution with the exact weights.

    QuantizedAvgPool_8 takes its output range from the data where a single window is left
    (facts/nnlib-quirks.md 2), and divides by the full window only where it lies inside.
    """
    source, output = node.input(0), node.outputs[0]
    layout, axes, counts = _axes(node, ctx)
    include = bool(node.attr("count_include_pad", 0))
    if any(axis.dilation > 1 for axis in axes):
        raise Refusal("a dilated AveragePool", why="the library has none")
    tensor = ctx.take(source, layout)
    inside = all(
        axis.before == 0 and (n - 1) * axis.stride + axis.extent <= axis.size
        for axis, n in zip(axes, counts, strict=True)
    )
    if inside and max(counts) > 1:
        pooled = _pool(ctx, "QuantizedAvgPool_8", tensor, axes, counts, Padding.VALID, output)
        ctx.bind(output, layout, pooled)
        return
    if inside or include:
        ctx.bind(output, layout, _as_depthwise(ctx, tensor, axes, counts, output))
        return
    raise Refusal(
        "an AveragePool whose padding does not count",
        why="the divisor differs from window to window",
        todo="use count_include_pad=1, or no padding",
    )


def _axes(node: NodeView, ctx: Context) -> tuple[Layout, list[Window], list[int]]:
    shape, result = ctx.shape(node.input(0)), ctx.shape(node.outputs[0])
    kernel = list(node.attr("kernel_shape"))
    node.done("ceil_mode", "storage_order")
    if len(shape) not in (3, 4):
        raise Refusal(f"a pool over {len(shape) - 2} axes", why="the library has 1-D and 2-D only")
    axes = windows(node, shape[2:], kernel)
    counts = list(result[2:])
    if len(axes) == 1:
        axes, counts = [Window(1, 1), *axes], [1, *counts]
    return Layout.channels_last(len(shape)), axes, counts


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
        *tensor.triple,
        builder.extent(f"{name}/window", axes[0].kernel, axes[1].kernel),
        builder.extent(f"{name}/stride", axes[0].stride, axes[1].stride),
    ]
    shape = (tensor.shape[0], counts[0], counts[1], tensor.shape[3])
    return builder.quantized(
        op, inputs, shape, tensor.range, name=name, static=tensor.static, padding=padding
    )


def _padded_with(
    ctx: Context, tensor: Tensor, axes: Sequence[Window], counts: Sequence[int], name: str
) -> tuple[Tensor, list[Window]]:
    """Pad H and W with the lowest code; what no window reads is cut off."""
    if not tensor.static:
        tensor = ctx.pinned(name, tensor)
    sides, sizes = [], []
    for place, (axis, count) in enumerate(zip(axes, counts, strict=True), start=1):
        reach = (count - 1) * axis.stride + axis.extent
        after = reach - axis.size - axis.before
        if after < 0:
            tensor = sliced(ctx, tensor, place, 0, axis.size + after, f"{name}/used{place}")
        sides.append((axis.before, max(after, 0)))
        sizes.append(reach)
    paddings = np.asarray([(0, 0), *sides, (0, 0)], np.int32)[None, None]
    inputs = [
        tensor.data, tensor.min, tensor.max, ctx.builder.ints(f"{name}/paddings", paddings),
        ctx.builder.scalar(f"{name}/lowest", tensor.range.min),
    ]
    shape = (tensor.shape[0], sizes[0], sizes[1], tensor.shape[3])
    padded = ctx.copied("QuantizedPad_8", inputs, tensor, shape, f"{name}/padded")
    return padded, [Window(n, a.kernel, a.stride) for a, n in zip(axes, sizes, strict=True)]


def _as_depthwise(
    ctx: Context, tensor: Tensor, axes: Sequence[Window], counts: Sequence[int], name: str
) -> Tensor:
    """The mean over each window as a depthwise convolution with equal weights."""
    from hexconv.lowering import depthwise
    from hexconv.lowering.conv import Placement

    channels = tensor.shape[3]
    area = axes[0].kernel * axes[1].kernel
    kernel = np.full((axes[0].kernel, axes[1].kernel, 1, channels), 1.0 / area, np.float32)
    bias = np.zeros(channels, np.float32)
    return depthwise.lower(Placement(ctx, name, counts), tensor, kernel, bias, axes)


@lowers("GlobalMaxPool", tie=Tie.COPY)
def global_max_pool(node: NodeView, ctx: Context) -> None:
    """One window over H and W."""
    source, output = node.input(0), node.outputs[0]
    shape = ctx.shape(source)
    if len(shape) not in (3, 4):
        raise Refusal(f"a pool over {len(shape) - 2} axes", why="the library has 1-D and 2-D only")
    layout = Layout.channels_last(len(shape))
    tensor = ctx.take(source, layout)
    axes = [Window(tensor.shape[1], tensor.shape[1]), Window(tensor.shape[2], tensor.shape[2])]
    pooled = _pool(ctx, "QuantizedMaxPool_8", tensor, axes, [1, 1], Padding.VALID, output)
    ctx.bind(output, layout, pooled)
