"""Pad with a constant or by reflection; the other modes were decomposed into Gather before."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import numpy as np

from hexconv.errors import UnsupportedOpError
from hexconv.lowering.context import Context
from hexconv.lowering.registry import Tie, lowers
from hexconv.lowering.select import constant_ints
from hexconv.lowering.slice_concat import along, as_range
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.graph import Padding, Ref
from hexconv.onnx_graph import NodeView

Sides = tuple[int, int]


@lowers("Pad", tie=Tie.JOIN)
def pad(node: NodeView, ctx: Context) -> None:
    """QuantizedPad_8 with the quantized value, or MirrorPad_8.

    Input and output share a range, which contains the value because the output was calibrated; an
    input that clips at the end of its range keeps its range, and is requantized.
    """
    source, output = node.input(0), node.outputs[0]
    mode = str(node.attr("mode", "constant"))
    rank = len(ctx.shape(source))
    amounts = constant_ints(node, ctx, 1)
    axes = [a % rank for a in constant_ints(node, ctx, 3)] if node.has(3) else list(range(rank))
    value = _value(node, ctx) if node.has(2) else 0.0
    sides = {
        axis: (before, after)
        for axis, before, after in zip(
            axes, amounts[: len(axes)], amounts[len(axes) :], strict=True
        )
        if before or after
    }
    if mode not in ("constant", "reflect") or min(amounts, default=0) < 0:
        raise UnsupportedOpError(f"a Pad of mode {mode} by {amounts}", why="it was not decomposed")

    def emit(tensor: Tensor, places: Mapping[int, int]) -> Tensor:
        rows = [sides[places[p]] if p in places else (0, 0) for p in range(4)]
        if mode == "reflect":
            return mirrored(ctx, tensor, rows, output)
        if not tensor.range.holds(value, value):
            tensor = as_range(ctx, tensor, ctx.range(output), output)
        return filled(ctx, tensor, rows, value, output)

    tensor, order = along(ctx, source, list(sides), emit)
    ctx.bind_order(output, order, tensor)


def _value(node: NodeView, ctx: Context) -> float:
    array = ctx.const(node.input(2))
    if array is None:
        raise UnsupportedOpError("a pad value that is computed", hint="make it a constant")
    return float(np.asarray(array).reshape(-1)[0])


def _within(value: float, tensor: Tensor) -> float:
    """The value, or the end of a range that ends there because all readers clip there."""
    return min(max(value, tensor.range.min), tensor.range.max)


def filled(ctx: Context, tensor: Tensor, rows: list[Sides], value: float, name: str) -> Tensor:
    """A constant around B, H, W, D: in the tensor's range, or -inf for its lowest value."""
    if value and isfinite(value):
        tensor = ctx.pinned(name, tensor)
        value = _within(value, tensor)
    inputs = [
        tensor.data,
        tensor.min,
        tensor.max,
        ctx.builder.ints(f"{name}_paddings", np.asarray(rows, np.int32)[None, None]),
    ]
    if value:
        inputs.append(ctx.builder.scalar(f"{name}_value", value))
    return _grown(ctx, "QuantizedPad_8", inputs, tensor, rows, name)


def mirrored(ctx: Context, tensor: Tensor, rows: list[Sides], name: str) -> Tensor:
    """Reflected at the edges, the edge itself not repeated."""
    paddings = ctx.builder.ints(f"{name}_paddings", np.asarray(rows, np.int32)[None, None])
    inputs = [tensor.data, paddings, tensor.min, tensor.max]
    return _grown(ctx, "MirrorPad_8", inputs, tensor, rows, name, padding=Padding.MIRROR_REFLECT)


def _grown(
    ctx: Context,
    op: str,
    inputs: list[Ref],
    tensor: Tensor,
    rows: list[Sides],
    name: str,
    padding: Padding = Padding.NA,
) -> Tensor:
    b, h, w, d = (
        size + before + after for size, (before, after) in zip(tensor.shape, rows, strict=True)
    )
    return ctx.builder.quantized(
        op, inputs, (b, h, w, d), tensor.range, name=name, source=tensor.source, padding=padding
    )
