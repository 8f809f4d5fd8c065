"""Concat and Split of uint8 tensors (nnlib op_concat.c, op_concat_d32.c, op_split.c)."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import F32, as_range, div255, round_int, zero_exact
from hexconv.simulator.numerics.hvx import satu8
from hexconv.simulator.numerics.scaled_copy import scaled_copy
from hexconv.simulator.registry import KernelCall, kernel

# A gain of this or more, of 32768, with no offset is a plain copy.
_UNITY_GAIN = 32704


@kernel("QuantizedConcat_8_d32")
def concat_d32(call: KernelCall) -> list[Array]:
    """Any axis; the union of the ranges with an integer zero point; each input rescaled to it."""
    axis, parts, lows, highs = _concat_inputs(call)
    low, high = min(lows), max(highs)
    low, high = (F32(0), high) if low > 0 else zero_exact(low, high)
    per_unit = F32(F32(255) / F32(high - low))
    scaled = []
    for part, part_low, part_high in zip(parts, lows, highs, strict=True):
        offset = int(F32(F32(F32(part_low - low) * per_unit) * F32(128)))
        gain = int(F32(F32(per_unit * F32(F32(part_high - part_low) / F32(255))) * F32(32768)))
        gain = gain if 0 <= gain <= 32767 else 32767
        scaled.append(scaled_copy(part, gain, offset))
    return [np.concatenate(scaled, axis=axis), *as_range(low, high)]


@kernel("QuantizedConcat_8", "QuantizedConcat_8_nond32")
def concat_flat(call: KernelCall) -> list[Array]:
    """Depth only; the plain union of the ranges (`concat_execute_slice_asm`)."""
    axis, parts, lows, highs = _concat_inputs(call)
    if axis != 3:
        raise GraphError("the flat Concat joins along depth only", where=call.op)
    low, high = min(F32(0), min(lows)), max(highs)
    per_unit = F32(F32(255) / F32(high - low))
    scaled = []
    for part, part_low, part_high in zip(parts, lows, highs, strict=True):
        part_low = min(F32(0), part_low)
        step = div255(F32(part_high - part_low))
        offset = max(0, round_int(F32(F32(part_low - low) / step)))
        gain = min(32767, round_int(F32(F32(per_unit * step) * F32(32768))))
        if offset == 0 and gain >= _UNITY_GAIN:
            scaled.append(part)
        else:
            codes = np.arange(256, dtype=np.int64)
            scaled.append(satu8(((codes + offset) * gain + (1 << 14)) >> 15)[part])
    return [np.concatenate(scaled, axis=3), *as_range(low, high)]


@kernel("QuantizedFakeConcat_8_d32")
def fake_concat_d32(call: KernelCall) -> list[Array]:
    """Convolutions that wrote side by side: the range of the first applies to all."""
    _, parts, lows, highs = _concat_inputs(call)
    return [np.concatenate(parts, axis=3), *as_range(lows[0], highs[0])]


def _concat_inputs(call: KernelCall) -> tuple[int, list[Array], list[np.float32], list[np.float32]]:
    count = (len(call.inputs) - 1) // 3
    axis = int(call.inputs[0].flat[0])
    if count < 1 or len(call.inputs) != 3 * count + 1:
        raise GraphError("Concat takes an axis, n tensors, n minima, n maxima", where=call.op)
    if not 0 <= axis <= 3:
        raise GraphError(f"Concat along axis {axis}; it must be 0..3", where=call.op)
    parts = call.inputs[1 : 1 + count]
    shapes = {part.shape[:axis] + part.shape[axis + 1 :] for part in parts}
    if len(shapes) > 1:
        raise GraphError(
            f"Concat along axis {axis} of tensors that differ elsewhere", where=call.op
        )
    lows = [call.scalar(1 + count + i) for i in range(count)]
    highs = [call.scalar(1 + 2 * count + i) for i in range(count)]
    return axis, parts, lows, highs


@kernel("QuantizedSplit_8", "QuantizedSplit_8_d32")
def split(call: KernelCall) -> list[Array]:
    """Equal parts along one axis; the d32 form splits depth."""
    data, count = call.inputs[1], len(call.outputs) - 2
    axis = 3 if call.inputs[0] is data else split_axis(call)
    return [*split_evenly(call, data, axis, count), call.inputs[2], call.inputs[3]]


def split_axis(call: KernelCall) -> int:
    """The axis in input 0; negative ones count from the end."""
    axis = int(call.inputs[0].flat[0])
    if not -4 <= axis <= 3:
        raise GraphError(f"Split along axis {axis}; it must be -4..3", where=call.op)
    return axis % 4


def split_evenly(call: KernelCall, data: Array, axis: int, count: int) -> list[Array]:
    """`split_impl`."""
    if data.shape[axis] % count:
        raise GraphError(
            f"uneven split: {data.shape[axis]} into {count} parts",
            where=call.op,
            why="the library splits into equal parts only (op_split.c)",
            hint="use QuantizedSlice_8 for each part",
        )
    return [np.ascontiguousarray(part) for part in np.split(data, count, axis=axis)]
