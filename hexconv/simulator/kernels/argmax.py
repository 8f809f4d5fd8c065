"""ArgMax of uint8 tensors; the first maximum wins (op_argmax.c, op_argminmax_8_d32.c)."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import as_range
from hexconv.simulator.registry import KernelCall, kernel


def _positions(call: KernelCall) -> Array:
    data = call.inputs[0]
    axis = int(call.inputs[1].flat[0])
    if not -4 <= axis <= 3:
        raise GraphError(f"ArgMax along axis {axis}; it must be -4..3", where=call.op)
    positions: Array = np.argmax(data, axis=axis % 4, keepdims=True)
    return positions


@kernel("ArgMax_8toInt32", "ArgMax_8_d32")
def argmax_to_int32(call: KernelCall) -> list[Array]:
    """The positions as int32; the only output."""
    return [_positions(call).astype(np.int32)]


@kernel("ArgMax_8")
def argmax(call: KernelCall) -> list[Array]:
    """The positions as uint8 of the range 0..255 (`argmax_execute_8`)."""
    positions = _positions(call)
    length = call.inputs[0].shape[int(call.inputs[1].flat[0])]
    if length > 255:
        raise GraphError(
            f"ArgMax_8 along {length} values",
            where=call.op,
            why="its counter has 8 bits: 256 values hang the DSP, more are rejected (op_argmax.c)",
            hint="use ArgMax_8toInt32",
        )
    return [positions.astype(np.uint8), *as_range(0, 255)]
