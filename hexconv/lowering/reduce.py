"""Reductions over any axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from hexconv.errors import Refusal
from hexconv.lowering.builder import Tensor
from hexconv.lowering.context import Context
from hexconv.lowering.moves import gather_axes
from hexconv.lowering.registry import lowers
from hexconv.nnlib.layout import Layout, Shape4
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range


@lowers("ReduceMean", "GlobalAveragePool")
def reduce_mean(node: NodeView, ctx: Context) -> None:
    """QuantizedMean_8 with a static range."""
    source, output = node.input(0), node.outputs[0]
    axes = reduced_axes(node, ctx)
    layout, places = reducible(ctx, source, axes)
    tensor = ctx.take(source, layout)
    span = ctx.range(output)
    bind_reduced(node, ctx, layout, axes, mean(ctx, tensor, places, span, output))


def mean(ctx: Context, tensor: Tensor, places: Sequence[int], span: Range, name: str) -> Tensor:
    """The mean over some of B, H, W, D.

    The library computes in_step / (out_step * n) and clamps it below 1
    (facts/shipped-library.md c), so the output step must be above in_step / n.
    """
    count = prod(tensor.shape[place] for place in places)
    finest = tensor.range.step / count * (1.0 + 2.0**-12)
    if span.step < finest:
        span = span.scaled(finest / span.step)
    b, h, w, d = (1 if place in places else size for place, size in enumerate(tensor.shape))
    shape: Shape4 = (b, h, w, d)
    if {1, 2} <= set(places) and tensor.shape[0] > 1 and tensor.shape[3] % 32:
        # Over H and W at once, later batches come out wrong unless D is a multiple of 32
        # (facts/nnlib-quirks.md 4, "Mean/Sum"): one axis after the other.
        tensor = mean(ctx, tensor, [1], tensor.range, f"{name}/rows")
        return mean(ctx, tensor, [p for p in places if p != 1], span, name)
    axes = ctx.builder.ints(f"{name}_axes", list(places))
    inputs = [*tensor.triple, axes, *ctx.builder.minmax(name, span)]
    return ctx.builder.quantized("QuantizedMean_8", inputs, shape, span, name=name)


def reduced_axes(node: NodeView, ctx: Context) -> list[int]:
    """The ONNX axes of a Reduce* or Global*Pool node, counted from 0."""
    rank = len(ctx.shape(node.input(0)))
    if node.op.startswith("Global"):
        return list(range(2, rank))
    if node.has(1):
        array = ctx.const(node.input(1))
        if array is None:
            raise Refusal("axes that are computed", todo="make the axes a constant")
        axes = [int(a) for a in np.asarray(array).reshape(-1)]
        if axes:
            return sorted({a % rank for a in axes})
    if int(node.attr("noop_with_empty_axes", 0)):
        return []
    return list(range(rank))


def reducible(ctx: Context, source: str, axes: Sequence[int]) -> tuple[Layout, list[int]]:
    """A layout in which the reduced axes fill whole places, moving as little as possible."""
    shape = ctx.shape(source)
    order = [a for a in ctx.form(source).layout.order if shape[a] != 1]
    gone = [a for a in order if a in axes]
    if len(order) <= 4:
        layout = gather_axes(shape, order)
    else:
        kept = [a for a in order if a not in axes]
        ones = tuple(a for a in range(len(shape)) if a not in order)
        layout = Layout((ones, (), tuple(kept), tuple(gone)))
    places = [i for i, group in enumerate(layout.axes) if any(a in gone for a in group)]
    return layout, places


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
