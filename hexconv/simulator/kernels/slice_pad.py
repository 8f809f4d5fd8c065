"""Slices, pads and tiles: ops that move values unchanged (op_slice.c, op_stridedslice.c,
op_pad.c, op_pad_d32.c, op_mirrorpad.c, op_tile.c)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.constraints import misrepeats
from hexconv.nnlib.graph import Padding
from hexconv.simulator.numerics.fixed_point import F32, round_int, sat_u8
from hexconv.simulator.numerics.window import bordered
from hexconv.simulator.registry import KernelCall, kernel

_AXES = "BHWD"


def integers(array: Array) -> list[int]:
    """The values of an int32 const."""
    return [int(value) for value in array.reshape(-1)]


@kernel("QuantizedSlice_8")
def slice_(call: KernelCall) -> list[Array]:
    """`slice_prepare`: begin and size of the last k axes; a size of -1 takes the rest."""
    data = call.inputs[0]
    begins, sizes = integers(call.inputs[1]), integers(call.inputs[2])
    if not 1 <= len(begins) <= 4 or len(begins) != len(sizes):
        raise GraphError("Slice takes 1 to 4 begins and as many sizes", where=call.op)
    index = [slice(None)] * 4
    for axis, begin, size in zip(range(4 - len(begins), 4), begins, sizes, strict=True):
        size = data.shape[axis] - begin if size == -1 else size
        if size <= 0 or begin < 0 or begin + size > data.shape[axis]:
            raise GraphError(
                f"Slice {begin}:{begin + size} is not inside axis {_AXES[axis]} "
                f"of {data.shape[axis]}",
                where=call.op,
            )
        index[axis] = slice(begin, begin + size)
    return [np.ascontiguousarray(data[tuple(index)]), *call.inputs[3:5]]


@kernel("QuantizedStridedSlice_8")
def strided_slice(call: KernelCall) -> list[Array]:
    """`strided_slice_impl`; bit 0 of a mask is B."""
    data = call.inputs[0]
    masks = [int(array.flat[0]) for array in call.inputs[4:7]]
    lists = [integers(array) for array in call.inputs[1:4]]
    result = data[np.ix_(*slice_ranges(data.shape, lists, masks, call.op))]
    kept = [result.shape[axis] for axis in range(4) if not masks[2] >> axis & 1]
    return [result.reshape([1] * (4 - len(kept)) + kept), *call.inputs[7:9]]


def slice_ranges(
    shape: Sequence[int], lists: Sequence[Sequence[int]], masks: Sequence[int], op: str
) -> list[range]:
    """The positions taken of each axis. A negative end counts from the axis's end.

    Args:
        shape: of the data.
        lists: begins, ends and steps of the last axes.
        masks: of begins, ends and shrunk axes.
        op: named in errors.
    """
    begins, ends, steps = lists
    begin_mask, end_mask, shrink_mask = masks
    ranges = []
    for axis in range(4):
        size, at = shape[axis], axis - 4 + len(begins)
        begin, end, step = (begins[at], ends[at], steps[at]) if at >= 0 else (0, size, 1)
        begin = max(0, begin + size) if begin < 0 else begin
        end = max(-1, end + size) if end < 0 else end
        bit = 1 << axis
        if shrink_mask & bit:
            end, step = begin + 1, 1
        else:
            if begin_mask & bit:
                begin = size - 1 if step < 0 else 0
            if end_mask & bit:
                end = -1 if step < 0 else size
        ranges.append(_positions(begin, end, step, size, axis, op))
    return ranges


def _positions(begin: int, end: int, step: int, size: int, axis: int, op: str) -> range:
    if step == 0:
        raise GraphError(f"StridedSlice with step 0 on axis {_AXES[axis]}", where=op)
    positions = range(begin, end, step)
    if not positions:
        raise GraphError(
            f"StridedSlice {begin}:{end}:{step} of axis {_AXES[axis]} is empty",
            where=op,
            why="a negative end counts from the end of the axis (op_stridedslice.c)",
            hint="set the axis's bit in the end mask to slice backwards to the start",
        )
    if min(positions[0], positions[-1]) < 0 or max(positions[0], positions[-1]) >= size:
        raise GraphError(
            f"StridedSlice {begin}:{end}:{step} reaches outside axis {_AXES[axis]} of {size}",
            where=op,
        )
    return positions


@kernel("QuantizedPad_8", "QuantizedPad_8_d32")
def pad(call: KernelCall) -> list[Array]:
    """`pad_q_execute`: rows of (before, after), n of them for the LAST n axes; a real value."""
    rows, code = call.settled(1, lambda: (pad_rows(call.inputs[3], call.op), _asked_code(call)))
    return [bordered(call.inputs[0], rows, code), call.inputs[1], call.inputs[2]]


def _asked_code(call: KernelCall) -> int:
    low, high = call.scalar(1), call.scalar(2)
    value = call.scalar(4) if len(call.inputs) > 4 else F32(0)
    strict = len(call.inputs) > 5 and int(call.inputs[5].flat[0]) != 0
    return _pad_code(value, low, high, strict=strict, op=call.op)


def _pad_code(
    value: np.float32, low: np.float32, high: np.float32, *, strict: bool, op: str
) -> int:
    if np.isinf(value):
        return 0 if value < 0 else 255
    code = round_int(F32(F32(F32(255) * F32(value - low)) / F32(high - low)))
    if not -2 <= code <= 257 or (strict and not low <= value <= high):
        raise GraphError(
            f"the pad value {value:g} is outside the range {low:g}..{high:g}",
            where=op,
            hint="widen the tensor's range so that it contains the pad value",
        )
    return sat_u8(code)


def pad_rows(array: Array, op: str) -> list[tuple[int, int]]:
    """(before, after) of all four axes; a pads tensor of n rows is for the last n."""
    rows = _given_rows(array, op)
    return [(0, 0)] * (4 - len(rows)) + rows


def _given_rows(array: Array, op: str) -> list[tuple[int, int]]:
    if array.shape[3] != 2:
        raise GraphError("a pads tensor has rows of two", where=op)
    values = integers(array)
    if min(values, default=0) < 0:
        raise GraphError("a pad cannot be negative", where=op, hint="use QuantizedSlice_8")
    return list(zip(values[0::2], values[1::2], strict=True))[:4]


@kernel("MirrorPad_8", "MirrorPad_8_d32")
def mirror_pad(call: KernelCall) -> list[Array]:
    """`mirrorpad_execute`: four rows of (before, after), each smaller than its axis."""
    rows = _given_rows(call.inputs[1], call.op)
    data = call.inputs[0]
    if len(rows) != 4:
        raise GraphError("MirrorPad takes the pads of all four axes", where=call.op)
    for axis, row in enumerate(rows):
        if max(row) >= data.shape[axis]:
            raise GraphError(
                f"MirrorPad by {max(row)} of axis {_AXES[axis]}, which has {data.shape[axis]}",
                where=call.op,
                why="the library needs the axis to be longer than the pad",
            )
    # The library has two modes, and treats everything that is not REFLECT as SYMMETRIC.
    if call.padding == Padding.MIRROR_REFLECT:
        return [np.pad(data, rows, mode="reflect"), *call.inputs[2:4]]
    return [np.pad(data, rows, mode="symmetric"), *call.inputs[2:4]]


@kernel("QuantizedTile_8")
def tile(call: KernelCall) -> list[Array]:
    """`tile_execute`: multiples of the last n axes."""
    x, times = call.inputs[0], _multiples(integers(call.inputs[1]))
    if misrepeats(x.shape[3], times[3]):
        raise GraphError(
            f"QuantizedTile_8 of a depth of {x.shape[3]}, {times[3]} times",
            why="the library mixes up codes: depths of 2, 4 and 8 only double",
            hint="repeat columns of one element each",
        )
    return [np.tile(x, times), *call.inputs[2:4]]


def _multiples(values: Sequence[int]) -> tuple[int, ...]:
    return (1,) * (4 - len(values)) + tuple(values)
