"""What moves codes without changing them (simulator/kernels/layout_ops.py, slice_pad.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from hexconv.exact.arithmetic import (
    round_int,
    zero_code,
)
from hexconv.exact.functions import ExactCall, Form, exact
from hexconv.exact.value import Attribute, Scope, Value, where
from hexconv.nnlib.graph import Padding
from hexconv.simulator.executor import SAME_DATA
from hexconv.simulator.kernels.resize import nearest_places
from hexconv.simulator.kernels.slice_pad import pad_rows, slice_ranges

LAST = -(2**31)
"""An end in front of position 0, for steps backwards."""


def passing(call: ExactCall, data: int, ends: tuple[int, ...]) -> tuple[int, ...]:
    """The data input and the ranges that are handed on, as far as the node has them."""
    return (data, *(index for index in ends if index < len(call.node.inputs)))


@exact(*SAME_DATA)
def same_data(call: ExactCall) -> Form:
    """Another layout in memory."""

    def build(body: Scope, data: Value) -> list[Value]:
        """The data as it is: only how it lies in memory changes."""
        return [data]

    return Form(build, (0,))


@exact("Transpose_8", "Transpose_16", "Transpose_int32", "Transpose_f")
def transpose(call: ExactCall) -> Form:
    """All four axes, or the last n among themselves."""
    last = call.ints(1)
    fixed = 4 - len(last)
    perm = [*range(fixed), *(fixed + axis for axis in last)]

    def build(body: Scope, data: Value, *ends: Value) -> list[Value]:
        """Axes in another order (op_transpose.c)."""
        return [data.transpose(Attribute("perm")), *ends]

    return _typed(call, build, {"perm": perm})


@exact("QuantizedReshape", "Reshape")
def reshape(call: ExactCall) -> Form:
    """Row-major."""

    def build(body: Scope, data: Value, *ends: Value) -> list[Value]:
        """Another shape of the same values in the same order (op_reshape.c)."""
        return [data.reshape(Attribute("shape")), *ends]

    return _typed(call, build, {"shape": call.shape})


def _typed(
    call: ExactCall, build: Callable[..., list[Value]], attributes: dict[str, Sequence[int]]
) -> Form:
    """Ops that exist with and without a range, behind an input that becomes an attribute."""
    reads = passing(call, 0, (2, 3))
    suffix = "" if len(reads) == 3 or call.node.op.endswith(("_f", "_int32")) else "_without_range"
    return Form(build, reads, attributes, suffix)


@exact("SpaceToBatchND_8", "SpaceToBatchND_8_d32")
def space_to_batch(call: ExactCall) -> Form:
    """Padded with the zero code, cut into block offsets."""
    (block_h, block_w), (top, bottom, left, right) = _blocks(call)
    batches, height, width, depth = call.shapes[0]
    rows, columns = (height + top + bottom) // block_h, (width + left + right) // block_w

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """Offsets within blocks become batches (op_batchspace.c)."""
        padded = data.pad(Attribute("pads"), zero_code(low, high))
        spread = padded.reshape(Attribute("blocks")).transpose([2, 4, 0, 1, 3, 5])
        return [spread.reshape(Attribute("shape")), low, high]

    attributes = {
        "pads": [0, top, left, 0, 0, bottom, right, 0],
        "blocks": [batches, rows, block_h, columns, block_w, depth],
        "shape": [batches * block_h * block_w, rows, columns, depth],
    }
    return Form(build, (0, 3, 4), attributes)


@exact("BatchToSpaceND_8", "BatchToSpaceND_8_d32")
def batch_to_space(call: ExactCall) -> Form:
    """The way back, then the crop."""
    (block_h, block_w), edges = _blocks(call)
    batches, rows, columns, depth = call.shapes[0]
    images = batches // (block_h * block_w)

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """Batches become offsets within blocks, and edges are cut off (op_batchspace.c)."""
        spread = data.reshape(Attribute("blocks")).transpose([2, 3, 0, 4, 1, 5])
        return [_cropped(spread.reshape(Attribute("shape"))), low, high]

    shape = [images, rows * block_h, columns * block_w, depth]
    attributes = {
        "blocks": [block_h, block_w, images, rows, columns, depth],
        "shape": shape,
        **_crop(shape, edges),
    }
    return Form(build, (0, 3, 4), attributes)


def _blocks(call: ExactCall) -> tuple[tuple[int, int], Sequence[int]]:
    """Block height and width; top, bottom, left, right."""
    blocks, edges = call.ints(1), call.ints(2)
    if len(blocks) == 1:
        return (blocks[0], 1), [*edges, 0, 0]
    return (blocks[0], blocks[1]), edges


def _crop(shape: Sequence[int], edges: Sequence[int], depth: int = 0) -> dict[str, list[int]]:
    """Starts and ends of height, width and depth behind a crop."""
    top, bottom, left, right = edges
    return {
        "starts": [top, left, 0],
        "ends": [shape[1] - bottom, shape[2] - right, depth or shape[3]],
    }


def _cropped(data: Value) -> Value:
    body = data.body
    ends = (body.ints(Attribute("starts")), body.ints(Attribute("ends")), body.ints([1, 2, 3]))
    return body.op("Slice", data, *ends)


@exact("SpaceToDepth_8")
def space_to_depth(call: ExactCall) -> Form:
    """Depth becomes block row, block column, depth."""
    blocks = call.ints(1)
    block_h, block_w = blocks[0], blocks[-1]
    batches, height, width, depth = call.shapes[0]
    rows, columns = height // block_h, width // block_w

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """Offsets within blocks become depth (op_depthspace.c)."""
        spread = data.reshape(Attribute("blocks")).transpose([0, 1, 3, 2, 4, 5])
        return [spread.reshape(Attribute("shape")), low, high]

    attributes = {
        "blocks": [batches, rows, block_h, columns, block_w, depth],
        "shape": [batches, rows, columns, block_h * block_w * depth],
    }
    return Form(build, (0, 2, 3), attributes)


@exact("DepthToSpace_8", "DepthToSpace_8_d32")
def depth_to_space(call: ExactCall) -> Form:
    """The way back; input 4 is the crop of the four edges, and the depth to keep."""
    blocks = call.ints(1)
    block_h, block_w = blocks[0], blocks[-1]
    batches, rows, columns, depth = call.shapes[0]
    left = depth // (block_h * block_w)
    crop = call.ints(4) if len(call.node.inputs) > 4 else [0, 0, 0, 0]
    kept = crop[4] if len(crop) > 4 and crop[4] > 0 else left

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """Depth becomes offsets within blocks, and edges are cut off (op_depthspace.c)."""
        spread = data.reshape(Attribute("blocks")).transpose([0, 1, 3, 2, 4, 5])
        return [_cropped(spread.reshape(Attribute("shape"))), low, high]

    shape = [batches, rows * block_h, columns * block_w, left]
    attributes = {
        "blocks": [batches, rows, columns, block_h, block_w, left],
        "shape": shape,
        **_crop(shape, crop[:4], kept),
    }
    return Form(build, (0, 2, 3), attributes)


@exact("QuantizedSlice_8")
def slice_(call: ExactCall) -> Form:
    """Begin and size of the last k axes; a size of -1 takes the rest."""
    starts, ends = [0] * 4, list(call.shapes[0])
    begins, sizes = call.ints(1), call.ints(2)
    for axis, begin, size in zip(range(4 - len(begins), 4), begins, sizes, strict=True):
        starts[axis] = begin
        ends[axis] = ends[axis] if size == -1 else begin + size
    return Form(
        _sliced, passing(call, 0, (3, 4)), {"starts": starts, "ends": ends, "steps": [1] * 4}
    )


def _sliced(body: Scope, data: Value, *ends: Value) -> list[Value]:
    """A part of each axis (op_slice.c)."""
    parts = [body.ints(Attribute(name)) for name in ("starts", "ends")]
    axes, steps = body.ints([0, 1, 2, 3]), body.ints(Attribute("steps"))
    return [body.op("Slice", data, *parts, axes, steps), *ends]


@exact("QuantizedStridedSlice_8")
def strided_slice(call: ExactCall) -> Form:
    """Begins, ends and steps, with masks."""
    ranges = slice_ranges(
        call.shapes[0],
        [call.ints(index) for index in (1, 2, 3)],
        [int(call.const(index).flat[0]) for index in (4, 5, 6)],
        call.node.op,
    )

    def build(body: Scope, data: Value, *ends: Value) -> list[Value]:
        """A part of each axis, also backwards (op_stridedslice.c)."""
        taken, *rest = _sliced(body, data, *ends)
        return [taken.reshape(Attribute("shape")), *rest]

    attributes = {
        "starts": [part[0] for part in ranges],
        "ends": [_end(part) for part in ranges],
        "steps": [part.step for part in ranges],
        "shape": call.shape,
    }
    return Form(build, passing(call, 0, (7, 8)), attributes)


def _end(part: range) -> int:
    """Behind the last position."""
    end = part[-1] + (1 if part.step > 0 else -1)
    return LAST if end < 0 else end


@exact("QuantizedPad_8", "QuantizedPad_8_d32")
def pad(call: ExactCall) -> Form:
    """A border of one real value."""
    rows = pad_rows(call.const(3), call.node.op)
    pads = [row[0] for row in rows] + [row[1] for row in rows]
    reads = (0, 1, 2, 4)[: max(3, len(call.node.inputs) - 1)]
    more = (np.zeros((1, 1, 1, 1), np.float32),) * (4 - len(reads))

    def build(body: Scope, data: Value, low: Value, high: Value, value: Value) -> list[Value]:
        """A border of a real value; infinite ones are the outermost codes (op_pad.c)."""
        code = round_int((value - low) * 255.0 / (high - low)).clip(0, 255)
        infinite = body.op("IsInf", value, dtype="bool")
        code = where(infinite, where(value < 0, body.constant(0, "int64"), 255), code)
        return [data.pad(Attribute("pads"), code), low, high]

    return Form(build, reads, {"pads": pads}, defaults=more)


@exact("MirrorPad_8", "MirrorPad_8_d32")
def mirror_pad(call: ExactCall) -> Form:
    """Reflected with or without the edge itself."""
    rows = np.array(call.ints(1)).reshape(-1, 2)
    reflects = call.node.padding == Padding.MIRROR_REFLECT
    mode: Literal["reflect", "symmetric"] = "reflect" if reflects else "symmetric"
    places = {
        f"axis{axis}": np.pad(np.arange(size), tuple(row), mode=mode).tolist()
        for axis, (size, row) in enumerate(zip(call.shapes[0], rows, strict=True))
    }

    def build(body: Scope, data: Value, *ends: Value) -> list[Value]:
        """Each axis continued by its mirror image (op_mirrorpad.c)."""
        for axis in range(4):
            data = data.gather(body.ints(Attribute(f"axis{axis}")), axis)
        return [data, *ends]

    return Form(build, passing(call, 0, (2, 3)), places)


@exact("QuantizedTile_8")
def tile(call: ExactCall) -> Form:
    """Multiples of the last n axes."""
    last = call.ints(1)

    def build(body: Scope, data: Value, *ends: Value) -> list[Value]:
        """Repeated along each axis (op_tile.c)."""
        return [body.op("Tile", data, body.ints(Attribute("repeats"))), *ends]

    return Form(build, passing(call, 0, (2, 3)), {"repeats": [1] * (4 - len(last)) + last})


@exact("ResizeNearestNeighbor_8")
def resize_nearest(call: ExactCall) -> Form:
    """Rows and columns repeated or left out."""
    height, width = call.ints(1)[:2]
    rows, columns = nearest_places(call.shapes[0], height, width, _align(call))

    def build(body: Scope, data: Value, *ends: Value) -> list[Value]:
        """The nearest rows and columns (op_resizenear.c)."""
        tall = data.gather(body.ints(Attribute("rows")), 1)
        return [tall.gather(body.ints(Attribute("columns")), 2), *ends]

    attributes = {"rows": rows.tolist(), "columns": columns.tolist()}
    return Form(build, passing(call, 0, (2, 3)), attributes)


def _align(call: ExactCall) -> bool:
    return len(call.node.inputs) > 4 and int(call.const(4).flat[0]) != 0
