"""Ops that rename, concatenate or repeat complete tensors; most cost no node at all."""

from __future__ import annotations

from collections.abc import Sequence

from hexconv.errors import UnsupportedOpError
from hexconv.lowering.broadcast import operand, spread
from hexconv.lowering.context import Context
from hexconv.lowering.registry import Tie, lowers
from hexconv.lowering.relayout import factored_order, gather_axes, split_reshape
from hexconv.lowering.slice_concat import (
    along,
    as_range,
    bhwd_axis_of,
    concatenated,
    isolate_axis,
    tiled,
)
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView

# They multiply or normalize along the last axis.
ROW_READERS = {"LayerNormalization", "Linear", "MatMul", "RMSNormalization"}


@lowers("Reshape", "Squeeze", "Unsqueeze", "Flatten", tie=Tie.COPY)
def reshape(node: NodeView, ctx: Context) -> None:
    """The target shape was made static when the model was loaded."""
    node.done(*range(1, len(node.inputs)), "axis", "allowzero")
    readers = {use.node.op_type for use in node.node.outputs[0].uses()}
    reshaped(ctx, node.input(0), node.outputs[0], rows=bool(readers & ROW_READERS))


def reshaped(ctx: Context, source: str, output: str, *, rows: bool = False) -> None:
    """Bind `output` to the elements of `source` in another ONNX shape.

    No data moves where the layout allows it; else the merged axes are made adjacent first.

    Args:
        ctx: the conversion.
        source: the value that is reshaped.
        output: its new name.
        rows: whether its readers need the last ONNX axis innermost; all axes then go to ONNX
            order at once.
    """
    before, after = ctx.shape(source), ctx.shape(output)
    form = ctx.form(source)
    order, tensor = split_reshape(before, after, form.layout.order), form.tensor
    if order is None:
        wanted = factored_order(before, after, form.layout.order)
        if rows:
            wanted = [axis for axis in range(len(before)) if before[axis] != 1]
        order = split_reshape(before, after, wanted)
        tensor = ctx.take(source, gather_axes(before, wanted))
    assert order is not None  # each factor's axes are adjacent now
    ctx.bind_order(output, order, tensor)


@lowers("Transpose", tie=Tie.COPY)
def transpose(node: NodeView, ctx: Context) -> None:
    """A transpose only renames the axes; data moves when a consumer needs another layout."""
    source, output = node.input(0), node.outputs[0]
    rank = len(ctx.shape(source))
    perm = list(node.attr("perm", list(range(rank))[::-1]))
    ctx.transposes.wanted += 1
    ctx.relabel(source, output, [perm.index(axis) for axis in ctx.form(source).layout.order])


@lowers("Identity", tie=Tie.COPY)
def identity(node: NodeView, ctx: Context) -> None:
    """The same tensor under another name; a constant where the model returns one."""
    source, output = node.input(0), node.outputs[0]
    if ctx.const(source) is not None:
        layout = gather_axes(ctx.shape(source), range(len(ctx.shape(source))))
        ctx.bind(output, layout, ctx.take(source, layout))
        return
    ctx.relabel(node.input(0), node.outputs[0], ctx.form(node.input(0)).layout.order)


@lowers("Concat", tie=Tie.JOIN)
def concat(node: NodeView, ctx: Context) -> None:
    """QuantizedConcat_8 on tensors of one range: exact, nothing is requantized inside."""
    output = node.outputs[0]
    shape = ctx.shape(output)
    axis = int(node.attr("axis", 0)) % len(shape)
    names = [node.input(i) for i in range(len(node.inputs))]
    layout = concat_layout(ctx, names, shape, axis)
    value_range = ctx.range(output)
    ready = {
        name: as_range(ctx, ctx.take(name, layout), value_range, name)
        for name in dict.fromkeys(names)
    }
    parts = [ready[name] for name in names]
    joined = concatenated(
        ctx, parts, bhwd_axis_of(layout, axis), layout.shape(shape), value_range, output
    )
    ctx.bind(output, layout, joined)


def concat_layout(ctx: Context, names: Sequence[str], shape: tuple[int, ...], axis: int) -> Layout:
    """The first computed operand's order, with the concatenated axis outermost in its BHWD axis."""
    leader = next((name for name in names if ctx.const(name) is None), None)
    if leader is None:
        raise UnsupportedOpError("a concatenation of constants that was not folded")
    own = ctx.shape(leader)
    kept = [a for a in ctx.form(leader).layout.order if shape[a] != 1 or a == axis]
    if len(kept) <= 4 or own[axis] == 1 or kept.index(axis) in (0, len(kept) - 3):
        return isolate_axis(shape, kept, axis)
    return isolate_axis(shape, [axis, *(a for a in kept if a != axis)], axis)


@lowers("Expand", tie=Tie.COPY)
def expand(node: NodeView, ctx: Context) -> None:
    """Axes of size 1 repeated (QuantizedTile_8)."""
    source, output = node.input(0), node.outputs[0]
    node.done(1)
    shape = ctx.shape(output)
    own = (1,) * (len(shape) - len(ctx.shape(source))) + ctx.shape(source)
    view = ctx.view(source, own)
    order = [a for a in ctx.form(view).layout.order if own[a] != 1]
    new = [a for a in range(len(shape)) if shape[a] != 1 and a not in order]
    layout = gather_axes(shape, [*new, *order])
    tensor = operand(ctx, source, layout, shape)
    ctx.bind(output, layout, spread(ctx, tensor, layout.shape(shape), output))


@lowers("Tile", tie=Tie.COPY)
def tile(node: NodeView, ctx: Context) -> None:
    """Axes repeated as a whole (QuantizedTile_8)."""
    source, output = node.input(0), node.outputs[0]
    node.done(1)
    pairs = zip(ctx.shape(source), ctx.shape(output), strict=True)
    times = {axis: after // before for axis, (before, after) in enumerate(pairs)}
    axes = [axis for axis, count in times.items() if count > 1]
    tensor, order = along(
        ctx,
        source,
        axes,
        lambda part, places: tiled(
            ctx, part, _four([times[places[p]] if p in places else 1 for p in range(4)]), output
        ),
    )
    ctx.bind_order(output, order, tensor)


def _four(values: Sequence[int]) -> tuple[int, int, int, int]:
    b, h, w, d = values
    return b, h, w, d
