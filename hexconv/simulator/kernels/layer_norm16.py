"""QuantizedLayerNorm_i16: layer normalization of int16 rows.

The op is in the shipped library only; its source is not public. The arithmetic here is that of its
two paths, which agree where both are correct: integer sums, variance and scale in float32, and one
32-bit multiplier per row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import (
    F32,
    HALF,
    ONE,
    as_range,
    clip_to,
    require_finite,
)
from hexconv.simulator.registry import KernelCall, kernel

_LEVELS = F32(2.0**-16)
_LARGEST_SUM = 65535  # the square of a row's sum is kept in 32 bits
_LANES = 64


class Steps(NamedTuple):
    """Real value of one unit of the data, gamma, beta (int32) and the output."""

    data: F32
    gamma: F32
    beta: F32
    out: F32


def steps_of(call: KernelCall) -> Steps:
    """Scales from the pairs of ranges."""

    def step(index: int, levels: F32) -> F32:
        value: F32 = F32(call.scalar(index + 1) - call.scalar(index)) * levels
        return value

    return Steps(step(1, _LEVELS), step(4, _LEVELS), step(7, F32(2.0**-32)), step(9, _LEVELS))


def require_row_sums(call: KernelCall, sums: Array) -> None:
    """Raise outside of what the library computes correctly."""
    depth = call.inputs[0].shape[3]
    if int(call.inputs[11].flat[0]) != 2:
        raise GraphError("QuantizedLayerNorm_i16 over more than the depth", hint="use axis 2")
    if depth % _LANES:
        raise GraphError(
            f"QuantizedLayerNorm_i16 over a depth of {depth}",
            why="the library is correct only for multiples of 64",
        )
    if int(np.abs(sums).max()) > _LARGEST_SUM:
        raise GraphError(
            f"QuantizedLayerNorm_i16 of a row whose values add up to {int(np.abs(sums).max())}",
            why=f"the library is correct up to {_LARGEST_SUM}",
            hint="give the input a wider range, or subtract the mean first",
        )


def multiplier(scale: Array) -> Array:
    """Scales below 1 with 31 fractional bits, halves up; int64."""
    if (scale > ONE).any():
        raise GraphError(
            "QuantizedLayerNorm_i16 into a range too narrow for it",
            why="the library's vector path omits the shift that scales above 1 need",
            hint="widen the output range",
        )
    fixed: Array = np.trunc(scale * F32(2.0**31) + HALF).astype(np.int64)
    return fixed


@kernel("QuantizedLayerNorm_i16")
def layer_norm(call: KernelCall) -> list[Array]:
    """(x - mean)/std * gamma + beta over the depth; a row of equal values returns beta."""
    x = call.inputs[0]
    low, high = call.scalar(9), call.scalar(10)
    require_finite(call.op, low, high)
    depth = x.shape[3]
    rows = x.reshape(-1, depth).astype(np.int64)
    sums = rows.sum(axis=1)
    require_row_sums(call, sums)
    steps = steps_of(call)
    mean = sums.astype(F32) / F32(depth)
    mean = np.trunc(mean + np.copysign(HALF, mean)).astype(np.int64)
    spread = depth * np.square(rows).sum(axis=1) - np.square(sums)
    unit = F32(F32(steps.data * steps.data) / F32(F32(depth) * F32(depth)))
    flat = spread == 0
    deviation = np.sqrt(unit * np.where(flat, 1, spread).astype(F32))
    scale = steps.gamma * (steps.data * (ONE / deviation)) / steps.out
    factor = np.where(flat, 0, multiplier(np.where(flat, F32(0.0), scale)))
    gamma, beta = call.inputs[3].astype(np.int64).ravel(), call.inputs[6].astype(np.int64).ravel()
    codes = (rows - mean[:, None]) * gamma
    np.clip(codes, -(2**31), 2**31 - 1, out=codes)
    codes *= factor[:, None]
    codes >>= 31
    shift = multiplier(np.array([steps.beta / steps.out], F32))
    codes += (beta * shift) >> 31
    return [clip_to(codes, np.int16).reshape(x.shape), *as_range(low, high)]
