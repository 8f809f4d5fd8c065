"""Shapes of the ops that move data: reshape, transpose, slice, pad, concat, blocks, lookups."""

from __future__ import annotations

from math import prod

from hexconv.errors import GraphError
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.shapes.view import View, four, shape_rule


@shape_rule("QuantizedReshape", "Reshape")
def _reshape(view: View) -> Shape4:
    sizes, total = view.ints("shape"), prod(view.shape("data"))
    if not 1 <= len(sizes) <= 4:
        raise GraphError(f"a shape of {len(sizes)} sizes; 1 to 4 are supported")
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise GraphError(f"a shape of {sizes}: sizes are 1 or more, and one of them may be -1")
    known = prod(size for size in sizes if size != -1)
    sizes = [total // known if size == -1 else size for size in sizes]
    if prod(sizes) != total:
        raise GraphError(f"{list(view.shape('data'))} cannot become {sizes}: {total} elements")
    return four([1] * (4 - len(sizes)) + sizes)


@shape_rule("Transpose_8", "Transpose_16", "Transpose_f")
def _transpose(view: View) -> Shape4:
    perm, data = view.ints("perm"), view.shape("data")
    if sorted(perm) != list(range(len(perm))) or not 1 <= len(perm) <= 4:
        raise GraphError(f"{perm} is not a permutation of 1 to 4 axes")
    fixed = 4 - len(perm)  # a short permutation applies to the last axes
    return four([*data[:fixed], *(data[fixed + axis] for axis in perm)])


@shape_rule("QuantizedSlice_8")
def _slice(view: View) -> Shape4:
    data, begin, size = view.shape("data"), view.ints("begin"), view.ints("size")
    if len(begin) != len(size) or not 1 <= len(begin) <= 4:
        raise GraphError(f"begin {begin} and size {size} do not go together")
    sizes = list(data[: 4 - len(begin)])
    for whole, first, count in zip(data[4 - len(begin) :], begin, size, strict=True):
        part = whole - first if count == -1 else count
        if first < 0 or part < 1 or first + part > whole:
            raise GraphError(f"the slice {begin} of {size} is outside of {list(data)}")
        sizes.append(part)
    return four(sizes)


@shape_rule("QuantizedStridedSlice_8")
def _strided_slice(view: View) -> Shape4:
    data = view.shape("data")
    begin = view.ints("begin", 1, 2, 3, 4)
    end, step = view.ints("end", len(begin)), view.ints("step", len(begin))
    free, shrink = 4 - len(begin), view.number("shrink_mask")
    begins_free, ends_free = view.number("begin_mask"), view.number("end_mask")
    sizes = list(data[:free])
    for axis, (first, last, stride) in enumerate(zip(begin, end, step, strict=True), free):
        whole, bit = data[axis], 1 << axis
        if stride == 0:
            raise GraphError("a slice with step 0")
        first, last = first % whole if first < 0 else first, last + whole * (last < 0)
        if shrink & bit:
            stride, last = 1, first + 1
        else:
            first = (0 if stride > 0 else whole - 1) if begins_free & bit else first
            last = (whole if stride > 0 else -1) if ends_free & bit else last
        count = len(range(first, last, stride))
        if count == 0 or not (0 <= first < whole and 0 <= first + stride * (count - 1) < whole):
            raise GraphError(f"the slice {begin}:{end}:{step} is empty or outside of {list(data)}")
        sizes.append(count)
    kept = [size for axis, size in enumerate(sizes) if not shrink >> axis & 1]
    return four([1] * (4 - len(kept)) + kept)


@shape_rule("QuantizedPad_8", "MirrorPad_8", "Pad_f", "QuantizedPadForConv_8_d32")
def _pad(view: View) -> Shape4:
    data, pads = view.shape("data"), view.ints("pads")
    if len(pads) % 2 or not 2 <= len(pads) <= 8 or min(pads) < 0:
        raise GraphError(f"pads {pads} are not 1 to 4 pairs of numbers of 0 or more")
    rest = [0] * (8 - len(pads))
    # a short list names the first axes for MirrorPad (op_mirrorpad.c) and the LAST ones for Pad,
    # whatever ops.txt says (golden QuantizedPad_8/006)
    pads = pads + rest if view.op.name.startswith("MirrorPad") else rest + pads
    return four([size + pads[2 * i] + pads[2 * i + 1] for i, size in enumerate(data)])


@shape_rule("QuantizedTile_8")
def _tile(view: View) -> Shape4:
    times = view.ints("multiples")
    if not 1 <= len(times) <= 4 or min(times) < 1:
        raise GraphError(f"multiples {times} are not 1 to 4 numbers of 1 or more")
    times = [1] * (4 - len(times)) + times
    return four([size * n for size, n in zip(view.shape("data"), times, strict=True)])


@shape_rule("QuantizedConcat_8", "Concat_f", "QuantizedFakeConcat_8_d32")
def _concat(view: View) -> Shape4:
    axis, parts = view.axes("axis", 1)[0], view.every("data")
    for part in parts[1:]:
        if any(part[i] != parts[0][i] for i in range(4) if i != axis):
            raise GraphError(f"shapes {[list(p) for p in parts]} do not join along axis {axis}")
    return four(
        [sum(p[i] for p in parts) if i == axis else parts[0][i] for i in range(4)],
    )


@shape_rule("QuantizedSplit_8")
def _split(view: View) -> Shape4:
    axis, data, parts = view.axes("axis", 1)[0], view.shape("data"), view.n_outputs - 2
    if parts < 1 or data[axis] % parts:
        raise GraphError(f"{data[axis]} along axis {axis} does not split into {parts} equal parts")
    return four([size // parts if i == axis else size for i, size in enumerate(data)])


def _block(view: View) -> tuple[int, int]:
    """Block sizes over H and W: one number is both for the depth ops, H alone for the batch ops."""
    block = view.ints("block", 1, 2)
    if min(block) < 1:
        raise GraphError(f"block {block} is not one or two numbers of 1 or more")
    alone = 1 if "Batch" in view.op.name else block[0]
    return block[0], block[1] if len(block) == 2 else alone


def _edges(view: View, role: str) -> tuple[int, int, int, int]:
    """What is added or cut on the four sides; a short list speaks of H alone."""
    sides = view.ints(role, 2, 4)
    if min(sides) < 0:
        raise GraphError(f"{role} {sides} are not numbers of 0 or more")
    top, bottom, left, right = (*sides, 0, 0)[:4]
    return top, bottom, left, right


def _divide(size: int, by: int, what: str) -> int:
    if size % by:
        raise GraphError(f"{what} {size} is not a multiple of {by}")
    return size // by


@shape_rule("SpaceToDepth_8")
def _space_to_depth(view: View) -> Shape4:
    (b, h, w, d), (bh, bw) = view.shape("data"), _block(view)
    return b, _divide(h, bh, "height"), _divide(w, bw, "width"), d * bh * bw


@shape_rule("DepthToSpace_8")
def _depth_to_space(view: View) -> Shape4:
    (b, h, w, d), (bh, bw) = view.shape("data"), _block(view)
    crops = view.ints("crops", 4, 5) if view.has("crops") else (0, 0, 0, 0)
    top, bottom, left, right, *kept = crops  # the depth to keep is there after prepare only
    depth = kept[0] if kept and kept[0] > 0 else _divide(d, bh * bw, "depth")
    return b, h * bh - top - bottom, w * bw - left - right, depth


@shape_rule("SpaceToBatchND_8")
def _space_to_batch(view: View) -> Shape4:
    (b, h, w, d), (bh, bw) = view.shape("data"), _block(view)
    top, bottom, left, right = _edges(view, "pads")
    return (
        b * bh * bw,
        _divide(h + top + bottom, bh, "padded height"),
        _divide(w + left + right, bw, "padded width"),
        d,
    )


@shape_rule("BatchToSpaceND_8")
def _batch_to_space(view: View) -> Shape4:
    (b, h, w, d), (bh, bw) = view.shape("data"), _block(view)
    top, bottom, left, right = _edges(view, "crops")
    return _divide(b, bh * bw, "batch"), h * bh - top - bottom, w * bw - left - right, d


@shape_rule("QuantizedResizeBilinear_8", "ResizeNearestNeighbor_8")
def _resize(view: View) -> Shape4:
    b, _, _, d = view.shape("data")
    h, w = view.ints("size", 2)
    return b, h, w, d


@shape_rule("Table_8")
def _table(view: View) -> Shape4:
    return _rows(view.shape("index"), view.shape("table"), -1, -1)


@shape_rule("Gather_8")
def _gather(view: View) -> Shape4:
    dim, rank = view.number("index_dim", -1), view.number("index_rank", -1)
    return _rows(view.shape("index"), view.shape("table"), dim, rank)


def _rows(index: Shape4, table: Shape4, dim: int, rank: int) -> Shape4:
    """op_gather.c, analyze_gather_op: the index replaces one axis of the table."""
    index_rank = _apparent_rank(index) if rank < 0 else rank
    table_rank = max(1, _apparent_rank(table), 4 - dim if dim >= 0 else 0)
    axis = dim if dim >= 0 else 4 - table_rank
    if index_rank < _apparent_rank(index) or index_rank > 4 or axis > 3:
        raise GraphError(f"an index of rank {rank} and a table axis {dim} are impossible")
    places = index[4 - index_rank :] if index_rank else ()
    sizes = [*table[4 - table_rank : axis], *places, *table[axis + 1 :]]
    if len(sizes) > 4:
        raise GraphError(f"looking {list(index)} up in {list(table)} gives a rank over 4")
    return four([1] * (4 - len(sizes)) + sizes)


def _apparent_rank(shape: Shape4) -> int:
    """Rank without the ones in front."""
    return next((4 - i for i, size in enumerate(shape) if size != 1), 0)
