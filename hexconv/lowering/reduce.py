"""Reductions over any axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from hexconv.annotations import notes_of
from hexconv.lowering.context import Context
from hexconv.lowering.mean_of_run import finest_step, leaves_its_range, mean_of_run
from hexconv.lowering.pool import l2_norm, largest
from hexconv.lowering.registry import Tie, lowers
from hexconv.lowering.relayout import gather_axes
from hexconv.lowering.select import constant_ints
from hexconv.lowering.slice_concat import as_range
from hexconv.nnlib.builder import Tensor, ranges_of
from hexconv.nnlib.layout import Layout, Shape4
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range

LANES = 32


@lowers("ReduceMean", "GlobalAveragePool")
def reduce_mean(node: NodeView, ctx: Context) -> None:
    """QuantizedMean_8 with a static range."""
    if notes_of(node.node).grid_zero is None:
        _scaled_mean(node, ctx, 1)
    else:
        _mean_of_levels(node, ctx)


@lowers("ReduceSum")
def reduce_sum(node: NodeView, ctx: Context) -> None:
    """n times the mean: the factor is in the range."""
    shape = ctx.shape(node.input(0))
    _scaled_mean(node, ctx, prod(shape[axis] for axis in reduced_axes(node, ctx)))


def _mean_of_levels(node: NodeView, ctx: Context) -> None:
    """The mean for a Sub from levels (elementwise.py), in the calibrated range of the operand."""
    source, output = node.input(0), node.outputs[0]
    axes = reduced_axes(node, ctx)
    layout, places = reducible(ctx, source, axes)
    levels = ctx.as_calibrated(ctx.take(source, layout), source)
    tensor = levels
    if places:
        tensor = mean(ctx, levels, places, levels.range, f"{output}/levels")
        ctx.builder.mark_by_levels(tensor)
    bind_reduced(node, ctx, layout, axes, ctx.as_calibrated(tensor, source))


def _scaled_mean(node: NodeView, ctx: Context, factor: int) -> None:
    source, output = node.input(0), node.outputs[0]
    axes = reduced_axes(node, ctx)
    layout, places = reducible(ctx, source, axes)
    tensor = ctx.take(source, layout)
    if places and leaves_its_range(node.node, tensor, ctx.range(output), factor):
        tensor = mean_of_run(ctx, tensor, places, ctx.range(output), output, factor)
    elif places:
        value_range = ctx.range(output)
        wanted = value_range if factor == 1 else value_range.scaled(1.0 / factor)
        tensor = mean(ctx, tensor, places, wanted, output)
        if factor != 1:
            tensor = ctx.rescaled(tensor, factor, f"{output}/sum")
        if notes_of(node.node).saturates is not None:
            tensor = as_range(ctx, tensor, value_range, output)
    bind_reduced(node, ctx, layout, axes, tensor)


def mean(
    ctx: Context, tensor: Tensor, places: Sequence[int], value_range: Range, name: str
) -> Tensor:
    """The mean over some of B, H, W, D.

    The library computes in_step / (out_step * n) and clamps it below 1
    (docs/nnlib/shipped-library.md#mean), so the output scale must be above in_step / n, however
    loud an input is. The axes must not be `needs_separate_reductions`.
    """
    count = prod(tensor.shape[place] for place in places)
    loudest = max(came.step for came in ranges_of(tensor))
    if loudest / count >= value_range.step:
        tensor = ctx.fixed(tensor, name)
    coarse = value_range.step < finest_step(tensor, count)
    if coarse:
        value_range = value_range.scaled(finest_step(tensor, count) / value_range.step)
    b, h, w, d = (1 if place in places else size for place, size in enumerate(tensor.shape))
    axes = ctx.builder.ints(f"{name}_axes", list(places))
    inputs = [*tensor.data_min_max, axes, *ctx.builder.minmax(name, value_range)]
    return ctx.builder.quantized(
        "QuantizedMean_8", inputs, (b, h, w, d), value_range, name=name, keeps_range=coarse
    )


def needs_separate_reductions(shape: Shape4, places: Sequence[int]) -> bool:
    """Whether the library would mix up rows when it reduces these BHWD axes at once.

    From the second on, each must have a multiple of 32 values after it, or few, or nothing
    before it (`reduce_sum_single_axis_hvx_32`; docs/nnlib/quirks.md#mean).
    """
    sizes = list(shape)
    for number, place in enumerate(places):
        rows, row = prod(sizes[:place]), prod(sizes[place + 1 :])
        if number and rows > 1 and row % LANES:
            return True
        sizes[place] = 1
    return False


@lowers("ReduceMax", tie=Tie.COPY)
def reduce_max(node: NodeView, ctx: Context) -> None:
    """QuantizedMaxPool_8 with one window: exact."""
    source = node.input(0)
    axes = reduced_axes(node, ctx)
    layout = reduction_layout(ctx, source, axes)
    tensor = ctx.take(source, layout)
    if tensor.shape[2] > 1:
        tensor = largest(ctx, tensor, [2], node.outputs[0])
    bind_reduced(node, ctx, layout, axes, tensor)


@lowers("ReduceMin", tie=Tie.COPY)
def reduce_min(node: NodeView, ctx: Context) -> None:
    """The negative of the maximum of the negative: QuantizedNeg_8 mirrors values and range."""
    source, output = node.input(0), node.outputs[0]
    axes = reduced_axes(node, ctx)
    layout = reduction_layout(ctx, source, axes)
    tensor = ctx.take(source, layout, static=True)
    if tensor.shape[2] > 1:
        turned = negative(ctx, tensor, f"{output}/negative")
        tensor = negative(ctx, largest(ctx, turned, [2], f"{output}/max"), output)
    bind_reduced(node, ctx, layout, axes, tensor)


@lowers("ReduceL2")
def reduce_l2(node: NodeView, ctx: Context) -> None:
    """QuantizedL2Pool_8 of few elements; of many it was decomposed."""
    source = node.input(0)
    axes = reduced_axes(node, ctx)
    layout = reduction_layout(ctx, source, axes)
    tensor = l2_norm(ctx, ctx.take(source, layout, static=True), node.outputs[0])
    bind_reduced(node, ctx, layout, axes, tensor)


def negative(ctx: Context, tensor: Tensor, name: str) -> Tensor:
    """The same values with the opposite sign (QuantizedNeg_8)."""
    value_range = Range(tensor.range.step, 255 - tensor.range.zero)
    return ctx.builder.quantized(
        "QuantizedNeg_8", tensor.data_min_max, tensor.shape, value_range, name=name
    )


def reduction_layout(ctx: Context, source: str, axes: Sequence[int]) -> Layout:
    """All reduced axes on W, kept axes before them on B, those after them on D."""
    shape = ctx.shape(source)
    order = [a for a in ctx.form(source).layout.order if shape[a] != 1]
    removed = [a for a in order if a in axes]
    ones = tuple(a for a in range(len(shape)) if a not in order)
    if not removed:
        return Layout((ones, tuple(order), (), ()))
    first = order.index(removed[0])
    outside = tuple(order[:first])
    inside = tuple(a for a in order[first:] if a not in axes)
    return Layout((ones + outside, (), tuple(removed), inside))


def reduced_axes(node: NodeView, ctx: Context) -> list[int]:
    """The ONNX axes of a Reduce* or Global*Pool node, counted from 0."""
    rank = len(ctx.shape(node.input(0)))
    if node.op.startswith("Global"):
        return list(range(2, rank))
    if node.has(1):
        axes = constant_ints(node, ctx, 1)
        node.done("noop_with_empty_axes")
        if axes:
            return sorted({axis % rank for axis in axes})
    return [] if int(node.attr("noop_with_empty_axes", 0)) else list(range(rank))


def reducible(ctx: Context, source: str, axes: Sequence[int]) -> tuple[Layout, list[int]]:
    """A layout in which the reduced axes fill complete BHWD axes, moving as little as possible."""
    shape = ctx.shape(source)
    order = [a for a in ctx.form(source).layout.order if shape[a] != 1]
    layout = gather_axes(shape, order)
    places = _places(layout, [a for a in order if a in axes])
    if len(order) > 4 or needs_separate_reductions(layout.shape(shape), places):
        layout = reduction_layout(ctx, source, axes)
        places = _places(layout, [a for a in order if a in axes])
    return layout, places


def _places(layout: Layout, axes: Sequence[int]) -> list[int]:
    return [place for place, group in enumerate(layout.axes) if any(a in axes for a in group)]


def bind_reduced(
    node: NodeView, ctx: Context, layout: Layout, axes: Sequence[int], tensor: Tensor
) -> None:
    """Bind the result, with or without its axes of size 1."""
    output = node.outputs[0]
    keep = bool(node.attr("keepdims", 1))
    left = [a for a in layout.order if a not in axes]
    if not keep:
        names = sorted(left)
        left = [names.index(a) for a in left]
    ctx.bind_order(output, left, tensor)
