"""ONNX broadcasting on an op whose operands are laid out in B, H, W, D."""

from __future__ import annotations

from collections.abc import Sequence

from hexconv.lowering.context import Context
from hexconv.lowering.relayout import gather_axes
from hexconv.lowering.slice_concat import tiled
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.layout import Layout, Shape4


def common_layout(ctx: Context, inputs: Sequence[str], output: str) -> Layout:
    """The layout for the result of an element-wise op that avoids moving the largest operand.

    Args:
        ctx: the conversion.
        inputs: the operands' names.
        output: the result's name; its shape is the broadcast of theirs.
    """
    shape = ctx.shape(output)
    rank = len(shape)
    computed = [name for name in inputs if ctx.const(name) is None]
    leader = max(computed, key=lambda name: _size(ctx.shape(name)))
    form = ctx.form(leader)
    missing = rank - form.layout.rank
    order = [axis + missing for axis in form.layout.order]
    own = (1,) * missing + ctx.shape(leader)
    if own == shape:
        groups = tuple(tuple(a + missing for a in group) for group in form.layout.axes)
        lead = tuple(range(missing))
        layout = Layout((lead + groups[0], groups[1], groups[2], groups[3]))
        if form.layout.shape(ctx.shape(leader)) == form.tensor.shape and all(
            _fits(ctx, name, layout, shape) for name in inputs
        ):
            return layout
    return _grouped(ctx, inputs, shape, order)


def _grouped(
    ctx: Context, inputs: Sequence[str], shape: tuple[int, ...], order: list[int]
) -> Layout:
    """Adjacent axes that broadcast alike share a BHWD axis; the others get one each."""
    order = [*(a for a in range(len(shape)) if a not in order), *order]
    order = [axis for axis in order if shape[axis] != 1]
    if len(order) <= 4:
        return gather_axes(shape, order)
    groups: list[list[int]] = []
    patterns: list[tuple[bool, ...]] = []
    for axis in order:
        pattern = tuple(_padded(ctx.shape(name), len(shape))[axis] == 1 for name in inputs)
        if groups and patterns[-1] == pattern:
            groups[-1].append(axis)
        else:
            groups.append([axis])
            patterns.append(pattern)
    while len(groups) < 4:
        groups.insert(0, [])
    if len(groups) > 4:
        # No grouping of broadcast with full axes is exact: the caller tiles.
        return gather_axes(shape, order)
    ones = [axis for axis in range(len(shape)) if shape[axis] == 1]
    groups[0] = ones + groups[0]
    b, h, w, d = (tuple(group) for group in groups)
    return Layout((b, h, w, d))


def operand(ctx: Context, name: str, layout: Layout, shape: tuple[int, ...]) -> Tensor:
    """An operand of an element-wise op, broadcastable in B, H, W, D to `shape` under `layout`."""
    tensor = ctx.take_broadcast(name, layout)
    full = layout.shape(shape)
    if all(have in (1, want) for have, want in zip(tensor.shape, full, strict=True)):
        return tensor
    own = _padded(ctx.shape(name), len(shape))
    plain = gather_axes(shape, [a for a in layout.order if own[a] != 1])
    small = ctx.take_broadcast(name, plain)
    return tile(ctx, small, plain, own, layout, shape, name)


def tile(
    ctx: Context,
    tensor: Tensor,
    plain: Layout,
    own: tuple[int, ...],
    layout: Layout,
    shape: tuple[int, ...],
    name: str,
) -> Tensor:
    """Repeat axes inside a BHWD axis one by one: [outer, 1, inner] becomes [outer, n, inner]."""
    order = [axis for axis in layout.order if shape[axis] != 1]
    sizes = [own[axis] for axis in order]
    for position, axis in enumerate(order):
        if sizes[position] == shape[axis]:
            continue
        outer = _size(sizes[:position])
        inner = _size(sizes[position + 1 :])
        flat = tensor
        if tensor.shape != (1, outer, 1, inner):
            flat = ctx.reshaped(tensor, (1, outer, 1, inner), f"{name}/tile_in")
        tensor = tiled(ctx, flat, (1, 1, shape[axis], 1), f"{name}/tile")
        sizes[position] = shape[axis]
    full = layout.shape(shape)
    return tensor if tensor.shape == full else ctx.reshaped(tensor, full, f"{name}/tile_out")


def spread(ctx: Context, tensor: Tensor, shape: Shape4, name: str) -> Tensor:
    """A tensor tiled to the full `shape` that it broadcasts to."""
    if tensor.shape == shape:
        return tensor
    b, h, w, d = (want // have for want, have in zip(shape, tensor.shape, strict=True))
    return tiled(ctx, tensor, (b, h, w, d), name)


def _fits(ctx: Context, name: str, layout: Layout, shape: tuple[int, ...]) -> bool:
    own = layout.shape(_padded(ctx.shape(name), len(shape)))
    full = layout.shape(shape)
    return all(have in (1, want) for have, want in zip(own, full, strict=True))


def _padded(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (1,) * (rank - len(shape)) + shape


def _size(shape: Sequence[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
