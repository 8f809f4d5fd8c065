"""Slicing, concatenating and repeating along B, H, W and D: helpers for ops on single axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hexconv.lowering.context import Context
from hexconv.lowering.relayout import gather_axes
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.constraints import mislays_batches, misrepeats
from hexconv.nnlib.layout import Layout, Shape4
from hexconv.quantize import Range
from hexconv.quantize.ranges import STEP_BITS

# A slice and its share of the Concat cost about as much as gathering a few rows
# (docs/nnlib/costs.md#rules): index lists of more runs than this use a lookup.
MAX_RUNS = 8

SAME_STEP = 4.0 / 2**STEP_BITS
"""Part of a step, by which that of another range may differ: steps of a range and of its multiple
are rounded up apart. At the end of the range it is less than a fiftieth of a level.
"""

Bounds = tuple[int, int, int]
"""(start, end, step) as Python's `range` takes them: an end of -1 is before the first."""
Emit = Callable[[Tensor, Mapping[int, int]], Tensor]


def along(ctx: Context, source: str, axes: Sequence[int], emit: Emit) -> tuple[Tensor, list[int]]:
    """Change some axes of a value, each isolated on a BHWD axis.

    Args:
        ctx: the conversion.
        source: a computed value.
        axes: the ONNX axes that change; the others keep their sizes.
        emit: makes the nodes, given the tensor and which ONNX axis each BHWD axis holds. It is
            called once, or once per axis where four BHWD axes cannot isolate all of them.

    Returns:
        The result, and the order of its axes.
    """
    shape = list(ctx.shape(source))
    order = [a for a in ctx.form(source).layout.order if shape[a] != 1 or a in axes]
    if len(order) <= 4:
        layout = gather_axes(shape, order)
        return emit(ctx.take(source, layout), {bhwd_axis_of(layout, a): a for a in axes}), order
    tensor = ctx.form(source).tensor
    for axis in axes:
        view = isolate_axis(tuple(shape), order, axis)
        if view.shape(shape) != tensor.shape:
            tensor = ctx.reshaped(tensor, view.shape(shape), f"{source}/apart")
        place = bhwd_axis_of(view, axis)
        tensor = emit(tensor, {place: axis})
        shape[axis] = tensor.shape[place]
    return tensor, order


def bhwd_axis_of(layout: Layout, axis: int) -> int:
    """Which of B, H, W, D (0..3) holds an ONNX axis."""
    return next(place for place, group in enumerate(layout.axes) if axis in group)


def isolate_axis(shape: tuple[int, ...], order: list[int], axis: int) -> Layout:
    """A layout in which `axis` shares its BHWD axis with no other; `order` is kept."""
    ones = tuple(a for a in range(len(shape)) if a not in order)
    at = order.index(axis)
    before, after = order[:at], order[at + 1 :]
    groups: list[tuple[int, ...]]
    if len(order) <= 4:
        groups = [()] * (4 - len(order)) + [(a,) for a in order]
    elif len(after) <= 2:
        room = 3 - len(after)
        cut_at = len(before) - room + 1
        groups = [tuple(before[:cut_at]), *((a,) for a in before[cut_at:])]
        groups += [(axis,), *((a,) for a in after)]
    else:
        groups = [tuple(before), (axis,), tuple(after[:-1]), (after[-1],)]
    b, h, w, d = groups
    return Layout((ones + b, h, w, d))


def as_range(ctx: Context, tensor: Tensor, value_range: Range, name: str) -> Tensor:
    """The tensor in a given range: requantized unless it has it already."""
    if tensor.static and tensor.range == value_range:
        return tensor
    if tensor.static and _alike(tensor.range, value_range):
        low, high = ctx.builder.minmax(f"{name}/joined", value_range)
        return replace(tensor, min=low, max=high, range=value_range)
    return ctx.requantize8(tensor, value_range, f"{name}/joined")


def _alike(one: Range, other: Range) -> bool:
    """Whether levels of two ranges are the same, but for what float32 rounds."""
    return one.zero == other.zero and abs(one.step - other.step) <= SAME_STEP * other.step


def concatenated(
    ctx: Context, parts: Sequence[Tensor], place: int, shape: Shape4, value_range: Range, name: str
) -> Tensor:
    """Tensors of one range concatenated along B, H, W or D (QuantizedConcat_8)."""
    if len(parts) == 1:
        return parts[0]
    inputs = [
        ctx.builder.ints(f"{name}_axis", [place]),
        *(p.data for p in parts),
        *(p.min for p in parts),
        *(p.max for p in parts),
    ]
    source = max(part.source for part in parts)
    return ctx.builder.quantized(
        "QuantizedConcat_8", inputs, shape, value_range, name=name, source=source
    )


def sliced(ctx: Context, tensor: Tensor, place: int, start: int, size: int, name: str) -> Tensor:
    """`size` elements from `start` along B, H, W or D."""
    return cut(ctx, tensor, {place: (start, start + size, 1)}, name)


def cut(ctx: Context, tensor: Tensor, cuts: Mapping[int, Bounds], name: str) -> Tensor:
    """A slice of several BHWD axes, in one node; steps may be negative.

    QuantizedSlice_8 where all steps are 1, else QuantizedStridedSlice_8. A negative end counts
    from the back there, so that a reversed slice to the first element needs the end mask
    (docs/nnlib/quirks.md#strided-slice).
    """
    begins, ends, steps, mask = [0, 0, 0, 0], list(tensor.shape), [1, 1, 1, 1], 0
    sizes = list(tensor.shape)
    for place, (start, end, step) in cuts.items():
        begins[place], ends[place], steps[place] = start, max(end, 0), step
        sizes[place] = len(range(start, end, step))
        mask |= 1 << place if end < 0 else 0
    if sizes == list(tensor.shape) and steps == [1, 1, 1, 1]:
        return tensor
    if steps == [1, 1, 1, 1] and mislays_batches(tensor.shape, sizes):
        rows = cut(ctx, tensor, {1: cuts[1]}, f"{name}/rows")
        return cut(ctx, rows, {place: cuts[place] for place in cuts if place != 1}, name)
    b, h, w, d = sizes
    ints = ctx.builder.ints
    begin = ints(f"{name}_begin", begins)
    if steps == [1, 1, 1, 1]:
        inputs = [tensor.data, begin, ints(f"{name}_size", sizes), tensor.min, tensor.max]
        return ctx.copied("QuantizedSlice_8", inputs, tensor, (b, h, w, d), name)
    inputs = [
        tensor.data,
        begin,
        ints(f"{name}_end", ends),
        ints(f"{name}_step", steps),
        ints(f"{name}_begin_mask", [0]),
        ints(f"{name}_end_mask", [mask]),
        ints(f"{name}_shrink_mask", [0]),
        tensor.min,
        tensor.max,
    ]
    return ctx.copied("QuantizedStridedSlice_8", inputs, tensor, (b, h, w, d), name)


def picked(ctx: Context, tensor: Tensor, place: int, indices: Sequence[int], name: str) -> Tensor:
    """The given positions along B, H, W or D: a slice for each run of them, or one Gather_8."""
    parts = runs(indices)
    b, h, w, d = (len(indices) if i == place else s for i, s in enumerate(tensor.shape))
    if len(parts) > MAX_RUNS:
        inputs = [
            ctx.builder.ints(f"{name}_index", indices),
            *tensor.data_min_max,
            ctx.builder.ints(f"{name}_dim", [place]),
            ctx.builder.ints(f"{name}_rank", [1]),
        ]
        return ctx.copied("Gather_8", inputs, tensor, (b, h, w, d), name)
    pieces = [
        cut(ctx, tensor, {place: (start, start + step * count, step)}, f"{name}/{number}")
        for number, (start, count, step) in enumerate(parts)
    ]
    return concatenated(ctx, pieces, place, (b, h, w, d), tensor.range, name)


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


def tiled(ctx: Context, tensor: Tensor, multiples: Shape4, name: str) -> Tensor:
    """The tensor repeated along B, H, W, D (QuantizedTile_8).

    A depth that the library would repeat wrongly is repeated as columns of one element each.
    """
    if multiples == (1, 1, 1, 1):
        return tensor
    if misrepeats(tensor.shape[3], multiples[3]):
        (b, h, w, d), times = tensor.shape, multiples[3]
        rows = ctx.reshaped(tensor, (b, h * w, 1, d), f"{name}/rows")
        repeated = tiled(ctx, rows, (1, 1, times, 1), f"{name}/repeated")
        tensor = ctx.reshaped(repeated, (b, h, w, d * times), f"{name}/deep")
        return tiled(ctx, tensor, (*multiples[:3], 1), name)
    b, h, w, d = (s * m for s, m in zip(tensor.shape, multiples, strict=True))
    inputs = [
        tensor.data,
        ctx.builder.ints(f"{name}_multiples", multiples),
        tensor.min,
        tensor.max,
    ]
    return ctx.copied("QuantizedTile_8", inputs, tensor, (b, h, w, d), name)
