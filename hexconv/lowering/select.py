"""Ops that take parts of a tensor: Slice, Split, Gather."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hexconv.annotations import notes_of
from hexconv.errors import UnsupportedOpError
from hexconv.lowering.context import Context
from hexconv.lowering.registry import Tie, lowers
from hexconv.lowering.shape import reshaped
from hexconv.lowering.slice_concat import along, bhwd_axis_of, cut, isolate_axis, picked, sliced
from hexconv.nnlib.builder import RANGE_OUTPUTS, Tensor
from hexconv.nnlib.graph import Output, Ref
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView


def constant_ints(node: NodeView, ctx: Context, index: int) -> list[int]:
    """The integers of a constant input.

    Raises:
        UnsupportedOpError: it is computed at run time.
    """
    array = ctx.const(node.input(index))
    if array is None:
        raise UnsupportedOpError(
            f"input {index} is computed at run time",
            why="the DSP needs shapes, axes and indices as constants",
            hint="make it a constant in the model",
        )
    return [int(value) for value in np.asarray(array).reshape(-1)]


@lowers("Slice", tie=Tie.COPY)
def slice_(node: NodeView, ctx: Context) -> None:
    """QuantizedSlice_8 or QuantizedStridedSlice_8: one node where each axis has a BHWD axis."""
    source, output = node.input(0), node.outputs[0]
    shape = ctx.shape(source)
    starts, ends = constant_ints(node, ctx, 1), constant_ints(node, ctx, 2)
    axes = constant_ints(node, ctx, 3) if node.has(3) else list(range(len(starts)))
    steps = constant_ints(node, ctx, 4) if node.has(4) else [1] * len(starts)
    axes = [axis % len(shape) for axis in axes]
    if len(set(axes)) < len(axes):
        raise UnsupportedOpError(f"a Slice that names an axis twice: {axes}")
    bounds = {
        axis: slice(start, end, step).indices(shape[axis])
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }
    changed = [a for a, bound in bounds.items() if bound != (0, shape[a], 1)]

    def emit(tensor: Tensor, places: Mapping[int, int]) -> Tensor:
        return cut(ctx, tensor, {place: bounds[a] for place, a in places.items()}, output)

    tensor, order = along(ctx, source, changed, emit)
    ctx.bind_order(output, order, tensor)


@lowers("Split", tie=Tie.COPY)
def split(node: NodeView, ctx: Context) -> None:
    """Equal parts: QuantizedSplit_8. Unequal ones, which it does not support: a slice each."""
    source = node.input(0)
    shape = ctx.shape(source)
    axis = int(node.attr("axis", 0)) % len(shape)
    node.done(1, "num_outputs")
    outputs = list(node.outputs)
    in_order = notes_of(node.node).in_order
    own = range(len(shape)) if in_order else ctx.form(source).layout.order
    layout = isolate_axis(shape, [a for a in own if shape[a] != 1 or a == axis], axis)
    place = bhwd_axis_of(layout, axis)
    tensor = ctx.take(source, layout)
    sizes = [ctx.shape(name)[axis] if name else None for name in outputs]
    if len(set(sizes)) == 1 and len(sizes) > 1:
        _even_split(ctx, tensor, place, outputs, layout)
        return
    if None in sizes:
        raise UnsupportedOpError("a Split of unequal parts of which some have no name")
    start = 0
    for name in outputs:
        size = ctx.shape(name)[axis]
        ctx.bind(name, layout, sliced(ctx, tensor, place, start, size, name))
        start += size


def _even_split(
    ctx: Context, tensor: Tensor, place: int, outputs: Sequence[str], layout: Layout
) -> None:
    part = layout.shape(ctx.shape(outputs[0]))
    inputs = [ctx.builder.ints(f"{outputs[0]}_axis", [place]), *tensor.data_min_max]
    declared = [*(Output(part, "uint8") for _ in outputs), *RANGE_OUTPUTS]
    node = ctx.builder.node("QuantizedSplit_8", inputs, declared, name=outputs[0])
    count = len(outputs)
    for port, name in enumerate(outputs):
        piece = Tensor(
            Ref(node, port),
            Ref(node, count),
            Ref(node, count + 1),
            part,
            tensor.range,
            tensor.source,
        )
        ctx.bind(name, layout, piece)


@lowers("Gather", tie=Tie.COPY)
def gather(node: NodeView, ctx: Context) -> None:
    """Constant indices: slices and a concatenation, or Gather_8 for many runs."""
    source, output = node.input(0), node.outputs[0]
    if ctx.const(source) is not None:
        raise UnsupportedOpError(
            "a lookup in a constant table by computed indices",
            why="indices are int64 and cannot be 8-bit data",
            hint="compute the embedding on the CPU and pass its result to the model",
        )
    shape = ctx.shape(source)
    axis = int(node.attr("axis", 0)) % len(shape)
    indices = constant_ints(node, ctx, 1)
    wrong = [i for i in indices if not -shape[axis] <= i < shape[axis]]
    if wrong:
        raise UnsupportedOpError(f"the index {wrong[0]} on an axis of {shape[axis]}")
    indices = [i % shape[axis] for i in indices]
    tensor, order = along(
        ctx,
        source,
        [axis],
        lambda part, places: picked(ctx, part, next(iter(places)), indices, output),
    )
    flat_name = f"{output}/flat"
    flat = tuple(len(indices) if a == axis else s for a, s in enumerate(shape))
    ctx.shapes[flat_name] = flat
    ctx.bind_order(flat_name, order, tensor)
    reshaped(ctx, flat_name, output)
