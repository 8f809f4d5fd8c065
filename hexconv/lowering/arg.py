"""ArgMax, ArgMin and Hardmax: positions as integers of 8 bits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hexconv.errors import UnsupportedOpError
from hexconv.lowering import lookup
from hexconv.lowering.context import Context
from hexconv.lowering.mask import emit_mask
from hexconv.lowering.reduce import bind_reduced, negative
from hexconv.lowering.registry import lowers
from hexconv.lowering.relayout import gather_axes
from hexconv.lowering.slice_concat import along, cut, tiled
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range

POSITIONS = Range(1.0, 0)
"""The fixed output range of ArgMax_8: 0..255."""
# Its counter has 8 bits: 256 values hang the DSP (op_argmax.c).
LONGEST = 255


@lowers("ArgMax", "ArgMin", integers=True)
def position(node: NodeView, ctx: Context) -> None:
    """ArgMax_8: the first maximum; for the last one, reversed. ArgMin is that of the negative.

    The output is int64 in ONNX and float here, with the same integer values.
    """
    source, output = node.input(0), node.outputs[0]
    shape = ctx.shape(source)
    axis = int(node.attr("axis", 0)) % len(shape)
    length = shape[axis]
    last = bool(node.attr("select_last_index", 0))
    _check_length(length)
    smallest = node.op == "ArgMin"

    def emit(tensor: Tensor, places: Mapping[int, int]) -> Tensor:
        if smallest:
            tensor = negative(ctx, ctx.pinned(source, tensor), f"{output}/negative")
        place = next(iter(places))
        if not last:
            return argmax(ctx, tensor, place, output)
        # The last of equal values is the first in reverse order.
        turned = cut(ctx, tensor, {place: (length - 1, -1, -1)}, f"{output}/turned")
        found = argmax(ctx, turned, place, f"{output}/behind")
        codes = np.clip(length - 1 - lookup.CODES, 0, 255).astype(np.uint8)
        return lookup.emit_table(ctx, found, codes, POSITIONS, output)

    tensor, order = along(ctx, source, [axis], emit)
    rest = tuple(a for a in range(len(shape)) if a not in order)
    bind_reduced(node, ctx, Layout((rest + tuple(order), (), (), ())), [axis], tensor)


def _check_length(length: int) -> None:
    if length > LONGEST:
        raise UnsupportedOpError(
            f"the position of a maximum among {length}",
            why=f"positions are integers of 8 bits: at most {LONGEST} values",
            hint="output the values, and find the maximum on the CPU",
        )


def argmax(ctx: Context, tensor: Tensor, place: int, name: str) -> Tensor:
    """Positions of the maxima along B, H, W or D, which keeps the size 1 (ArgMax_8)."""
    b, h, w, d = (1 if p == place else size for p, size in enumerate(tensor.shape))
    inputs = [tensor.data, ctx.builder.ints(f"{name}_axis", [place]), tensor.min, tensor.max]
    return ctx.builder.quantized("ArgMax_8", inputs, (b, h, w, d), POSITIONS, name=name)


@lowers("Hardmax")
def hardmax(node: NodeView, ctx: Context) -> None:
    """1 at the position of the first maximum: compare the position with 0, 1, 2..."""
    source, output = node.input(0), node.outputs[0]
    shape = ctx.shape(source)
    axis = int(node.attr("axis", -1)) % len(shape)
    _check_length(shape[axis])
    order = [a for a in ctx.form(source).layout.order if shape[a] != 1 and a != axis]
    layout = gather_axes(shape, [*order, axis])
    tensor = ctx.take(source, layout)
    count = tensor.shape[3]
    first = argmax(ctx, tensor, 3, f"{output}/position")
    first = tiled(ctx, first, (1, 1, 1, count), f"{output}/positions")
    name = f"{output}/numbers"
    numbers = Tensor(
        ctx.builder.const(name, np.arange(count, dtype=np.uint8), POSITIONS),
        *ctx.builder.minmax(name, POSITIONS),
        (1, 1, 1, count),
        POSITIONS,
    )
    ctx.bind(
        output,
        layout,
        emit_mask(ctx, "QuantizedEqual_8", first, numbers, tensor.shape, output),
    )
