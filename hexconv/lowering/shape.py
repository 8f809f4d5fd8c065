"""Ops that only rename, move, join or cut data; most cost no node at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hexconv.errors import Refusal
from hexconv.lowering.builder import MINMAX, Tensor
from hexconv.lowering.context import Context
from hexconv.lowering.moves import gather_axes, split_reshape
from hexconv.lowering.registry import Tie, lowers
from hexconv.nnlib.graph import Output, Ref
from hexconv.nnlib.layout import Layout, Shape4
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range


@lowers("Reshape", "Squeeze", "Unsqueeze", "Flatten", tie=Tie.COPY)
def reshape(node: NodeView, ctx: Context) -> None:
    """No data moves where the layout allows it; else the tensor is first put in ONNX order.

    The target shape itself was made static when the model was loaded.
    """
    source, output = node.input(0), node.outputs[0]
    node.done(*range(1, len(node.inputs)), "axis", "allowzero")
    before, after = ctx.shape(source), ctx.shape(output)
    order = split_reshape(before, after, ctx.form(source).layout.order)
    if order is None:
        plain = [axis for axis in range(len(before)) if before[axis] != 1]
        tensor = ctx.take(source, gather_axes(before, plain))
        ctx.bind_order(output, [axis for axis in range(len(after)) if after[axis] != 1], tensor)
        return
    ctx.relabel(source, output, order)


@lowers("Transpose", tie=Tie.COPY)
def transpose(node: NodeView, ctx: Context) -> None:
    """A transpose only renames the axes; data moves when a consumer wants another layout."""
    source, output = node.input(0), node.outputs[0]
    rank = len(ctx.shape(source))
    perm = list(node.attr("perm", list(range(rank))[::-1]))
    ctx.transposes.wanted += 1
    ctx.relabel(source, output, [perm.index(axis) for axis in ctx.form(source).layout.order])


@lowers("Identity", tie=Tie.COPY)
def identity(node: NodeView, ctx: Context) -> None:
    """The same tensor under another name."""
    ctx.relabel(node.input(0), node.outputs[0], ctx.form(node.input(0)).layout.order)


@lowers("Concat", tie=Tie.JOIN)
def concat(node: NodeView, ctx: Context) -> None:
    """QuantizedConcat_8 on tensors of one range: exact, nothing is requantized inside."""
    output = node.outputs[0]
    shape = ctx.shape(output)
    axis = int(node.attr("axis", 0)) % len(shape)
    names = [node.input(i) for i in range(len(node.inputs))]
    layout = concat_layout(ctx, names, shape, axis)
    span = ctx.range(output)
    parts = [as_range(ctx, ctx.take(name, layout), span, name) for name in names]
    place = next(i for i, group in enumerate(layout.axes) if axis in group)
    ctx.bind(output, layout, concatenated(ctx, parts, place, layout.shape(shape), span, output))


def concat_layout(
    ctx: Context, names: Sequence[str], shape: tuple[int, ...], axis: int
) -> Layout:
    """The first computed operand's order, with the joined axis outermost in its place."""
    leader = next((name for name in names if ctx.const(name) is None), None)
    if leader is None:
        raise Refusal("a concatenation of constants that was not folded")
    own = ctx.shape(leader)
    kept = [a for a in ctx.form(leader).layout.order if shape[a] != 1 or a == axis]
    if len(kept) <= 4 or own[axis] == 1 or kept.index(axis) in (0, len(kept) - 3):
        return own_place(shape, kept, axis)
    return own_place(shape, [axis, *(a for a in kept if a != axis)], axis)


def own_place(shape: tuple[int, ...], order: list[int], axis: int) -> Layout:
    """A layout in which `axis` shares its place with no other, or lies outermost in it."""
    ones = tuple(a for a in range(len(shape)) if a not in order)
    at = order.index(axis)
    before, after = order[:at], order[at + 1 :]
    groups: list[tuple[int, ...]]
    if len(order) <= 4:
        groups = [()] * (4 - len(order)) + [(a,) for a in order]
    elif len(after) <= 2:
        tail: list[tuple[int, ...]] = [(a,) for a in after]
        head = before
        room = 3 - len(tail)
        groups = [tuple(head[: len(head) - room + 1]), *((a,) for a in head[len(head) - room + 1 :])]
        groups += [(axis,), *tail]
    else:
        groups = [(*before,), (axis,), tuple(after[:-1]), (after[-1],)]
    b, h, w, d = groups
    return Layout((ones + b, h, w, d))


def as_range(ctx: Context, tensor: Tensor, span: Range, name: str) -> Tensor:
    """The tensor in a given range: requantized unless it has it already."""
    if tensor.static and tensor.range == span:
        return tensor
    return ctx.requantize8(tensor, span, f"{name}/joined")


def concatenated(
    ctx: Context, parts: Sequence[Tensor], place: int, shape: Shape4, span: Range, name: str
) -> Tensor:
    """Tensors of one range joined along B, H, W or D (QuantizedConcat_8)."""
    if len(parts) == 1:
        return parts[0]
    inputs = [
        ctx.builder.ints(f"{name}_axis", [place]),
        *(p.data for p in parts), *(p.min for p in parts), *(p.max for p in parts),
    ]
    static = all(part.static for part in parts)
    return ctx.builder.quantized(
        "QuantizedConcat_8", inputs, shape, span, name=name, static=static
    )


@lowers("Split", tie=Tie.COPY)
def split(node: NodeView, ctx: Context) -> None:
    """Equal parts: QuantizedSplit_8. Unequal ones: a slice each (the library splits evenly only)."""
    source = node.input(0)
    shape = ctx.shape(source)
    axis = int(node.attr("axis", 0)) % len(shape)
    node.done(1, "num_outputs")
    outputs = list(node.outputs)
    layout = own_place(
        shape, [a for a in ctx.form(source).layout.order if shape[a] != 1 or a == axis], axis
    )
    place = next(i for i, group in enumerate(layout.axes) if axis in group)
    tensor = ctx.take(source, layout)
    sizes = [ctx.shape(name)[axis] for name in outputs]
    if len(set(sizes)) == 1 and len(sizes) > 1:
        _even_split(ctx, tensor, place, outputs, layout)
        return
    start = 0
    for name, size in zip(outputs, sizes, strict=True):
        ctx.bind(name, layout, sliced(ctx, tensor, place, start, size, name))
        start += size


def _even_split(
    ctx: Context, tensor: Tensor, place: int, outputs: Sequence[str], layout: Layout
) -> None:
    part = layout.shape(ctx.shape(outputs[0]))
    inputs = [ctx.builder.ints(f"{outputs[0]}_axis", [place]), *tensor.triple]
    declared = [*(Output(part, "uint8") for _ in outputs), *MINMAX]
    node = ctx.builder.node("QuantizedSplit_8", inputs, declared, name=outputs[0])
    count = len(outputs)
    for port, name in enumerate(outputs):
        piece = Tensor(
            Ref(node, port), Ref(node, count), Ref(node, count + 1), part, tensor.range,
            tensor.static,
        )
        ctx.bind(name, layout, piece)


def sliced(ctx: Context, tensor: Tensor, place: int, start: int, size: int, name: str) -> Tensor:
    """`size` elements from `start` along B, H, W or D (QuantizedSlice_8)."""
    if size == tensor.shape[place]:
        return tensor
    begin, extent = [0, 0, 0, 0], list(tensor.shape)
    begin[place], extent[place] = start, size
    inputs = [
        tensor.data, ctx.builder.ints(f"{name}_begin", begin),
        ctx.builder.ints(f"{name}_size", extent), tensor.min, tensor.max,
    ]
    b, h, w, d = extent
    return ctx.copied("QuantizedSlice_8", inputs, tensor, (b, h, w, d), name)


@lowers("Slice", tie=Tie.COPY)
def slice_(node: NodeView, ctx: Context) -> None:
    """One QuantizedStridedSlice_8 for all axes; flips run to the start through end_mask."""
    source, output = node.input(0), node.outputs[0]
    shape = ctx.shape(source)
    starts, ends = _ints(node, ctx, 1), _ints(node, ctx, 2)
    axes = _ints(node, ctx, 3) if node.has(3) else list(range(len(starts)))
    steps = _ints(node, ctx, 4) if node.has(4) else [1] * len(starts)
    cuts = {
        axis % len(shape): slice(start, end, step).indices(shape[axis % len(shape)])
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }
    order = [a for a in ctx.form(source).layout.order if shape[a] != 1]
    layout = gather_axes(shape, order)
    tensor = ctx.take(source, layout)
    for axis, (start, end, step) in cuts.items():
        if len(range(start, end, step)) == shape[axis] and step == 1:
            continue
        tensor, layout = _cut(ctx, tensor, layout, shape, axis, (start, end, step), output)
        shape = tuple(
            len(range(start, end, step)) if a == axis else s for a, s in enumerate(shape)
        )
    ctx.bind_order(output, layout.order, tensor)


def _cut(
    ctx: Context,
    tensor: Tensor,
    layout: Layout,
    shape: tuple[int, ...],
    axis: int,
    cut: tuple[int, int, int],
    name: str,
) -> tuple[Tensor, Layout]:
    """Cut one axis; an axis inside a place is first given a place of its own."""
    start, end, step = cut
    size = len(range(start, end, step))
    order = [a for a in layout.order if shape[a] != 1 or a == axis]
    view = own_place(shape, order, axis)
    full = view.shape(shape)
    if full != tensor.shape:
        tensor = ctx.reshaped(tensor, full, f"{name}/cut")
    place = next(i for i, group in enumerate(view.axes) if axis in group)
    if step == 1:
        return sliced(ctx, tensor, place, start, size, name), view
    return strided(ctx, tensor, place, (start, end, step), size, name), view


def strided(
    ctx: Context, tensor: Tensor, place: int, cut: tuple[int, int, int], size: int, name: str
) -> Tensor:
    """A strided cut along one of B, H, W, D (QuantizedStridedSlice_8).

    A negative `end` counts as an index in the library, so a reverse cut that runs to the start
    needs the end mask (facts/nnlib-quirks.md 4, "StridedSlice").
    """
    start, end, step = cut
    begins, ends, steps = [0, 0, 0, 0], list(tensor.shape), [1, 1, 1, 1]
    begins[place], ends[place], steps[place] = start, max(end, 0), step
    mask = 1 << place if end < 0 else 0
    builder = ctx.builder
    inputs = [
        tensor.data,
        builder.ints(f"{name}_begin", begins),
        builder.ints(f"{name}_end", ends),
        builder.ints(f"{name}_step", steps),
        builder.ints(f"{name}_begin_mask", [0]),
        builder.ints(f"{name}_end_mask", [mask]),
        builder.ints(f"{name}_shrink_mask", [0]),
        tensor.min,
        tensor.max,
    ]
    shape = list(tensor.shape)
    shape[place] = size
    b, h, w, d = shape
    return ctx.copied("QuantizedStridedSlice_8", inputs, tensor, (b, h, w, d), name)


def _ints(node: NodeView, ctx: Context, index: int) -> list[int]:
    array = ctx.const(node.input(index))
    if array is None:
        raise Refusal(
            f"input {index} is computed at run time",
            why="the DSP wants shapes, axes and indices as constants",
            todo="make it a constant in the model",
        )
    return [int(value) for value in np.asarray(array).reshape(-1)]


@lowers("Gather", tie=Tie.COPY)
def gather(node: NodeView, ctx: Context) -> None:
    """Constant indices: slices for runs of neighbours, joined by one concatenation."""
    source, output = node.input(0), node.outputs[0]
    if ctx.const(source) is not None:
        raise Refusal(
            "a lookup in a constant table by computed indices",
            why="indices are int64 and have no place in an 8-bit data path",
            todo="do the embedding on the CPU and give its result to the model",
        )
    shape = ctx.shape(source)
    axis = int(node.attr("axis", 0)) % len(shape)
    array = ctx.const(node.input(1))
    if array is None:
        raise Refusal("indices that are computed", todo="make the indices a constant")
    indices = [int(i) % shape[axis] for i in np.asarray(array).reshape(-1)]
    order = [a for a in ctx.form(source).layout.order if shape[a] != 1 or a == axis]
    layout = own_place(shape, order, axis)
    place = next(i for i, group in enumerate(layout.axes) if axis in group)
    tensor = picked(ctx, ctx.take(source, layout), place, indices, output)
    flat_name = f"{output}/flat"
    ctx.shapes[flat_name] = tuple(
        len(indices) if a == axis else s for a, s in enumerate(shape)
    )
    flat = ctx.shapes[flat_name]
    result = split_reshape(flat, ctx.shape(output), layout.order)
    if result is not None:
        ctx.bind_order(output, result, tensor)
        return
    ctx.bind(flat_name, layout, tensor)
    plain = gather_axes(flat, [a for a in range(len(flat)) if flat[a] != 1])
    after = ctx.shape(output)
    ctx.bind_order(
        output, [a for a in range(len(after)) if after[a] != 1], ctx.take(flat_name, plain)
    )


def picked(
    ctx: Context, tensor: Tensor, place: int, indices: Sequence[int], name: str
) -> Tensor:
    """The given positions along B, H, W or D: a slice per arithmetic run."""
    parts = []
    for number, (start, count, step) in enumerate(runs(indices)):
        label = f"{name}/{number}"
        if step == 1:
            parts.append(sliced(ctx, tensor, place, start, count, label))
        else:
            end = start + step * count
            parts.append(strided(ctx, tensor, place, (start, end, step), count, label))
    shape = list(tensor.shape)
    shape[place] = len(indices)
    b, h, w, d = shape
    if len(parts) == 1:
        return parts[0]
    inputs = [
        ctx.builder.ints(f"{name}_axis", [place]),
        *(p.data for p in parts), *(p.min for p in parts), *(p.max for p in parts),
    ]
    return ctx.copied("QuantizedConcat_8", inputs, tensor, (b, h, w, d), name)


def runs(indices: Sequence[int]) -> list[tuple[int, int, int]]:
    """Indices as (start, count, step) runs, greedily."""
    result: list[tuple[int, int, int]] = []
    position = 0
    while position < len(indices):
        start, count, step = indices[position], 1, 1
        if position + 1 < len(indices) and indices[position + 1] != start:
            step = indices[position + 1] - start
            while (
                position + count < len(indices)
                and indices[position + count] == start + step * count
            ):
                count += 1
        result.append((start, count, step if count > 1 else 1))
        position += count
    return result


@lowers("Expand", tie=Tie.COPY)
def expand(node: NodeView, ctx: Context) -> None:
    """Axes of size 1 repeated (QuantizedTile_8)."""
    from hexconv.lowering.broadcast import operand, spread

    source, output = node.input(0), node.outputs[0]
    node.done(1)
    shape = ctx.shape(output)
    own = (1,) * (len(shape) - len(ctx.shape(source))) + ctx.shape(source)
    view = ctx.view(source, own)
    order = [a for a in ctx.form(view).layout.order if own[a] != 1]
    layout = gather_axes(shape, [a for a in range(len(shape)) if shape[a] != 1 and a not in order] + order)
    tensor = operand(ctx, source, layout, shape)
    ctx.bind(output, layout, spread(ctx, tensor, layout.shape(shape), output))


