"""Moments_8to32: mean and variance in one pass (nnlib op_moments.c)."""

from __future__ import annotations

from math import prod

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.reduce import axes_of
from hexconv.simulator.numerics.fixed_point import F32, as_range, frac_mul
from hexconv.simulator.registry import KernelCall, kernel

_BLOCK = 1 << 15  # how many squares the library adds before it drops low bits


def guard_bits(count: int) -> int:
    """Low bits dropped from sums of squares so that `count` of them fit int32."""
    return max(0, (count + (1 << (count.bit_length() - 1)) - 1).bit_length() - 16)


def sums_of_squares(rows: Array, bits: int) -> Array:
    """Sums over the last axis of (outputs, outer, inner) values, `bits` low bits dropped.

    The library shifts each block of 2^15 squares of the inner dimension separately.
    """
    squares = np.square(rows, dtype=np.int64)
    inner = rows.shape[2]
    total = np.zeros(rows.shape[0], np.int64)
    for start in range(0, inner, _BLOCK):
        blocks = squares[:, :, start : start + _BLOCK].sum(axis=2)
        total += (blocks >> bits).sum(axis=1)
    return total


def centered_squares(rows: Array, bits: int) -> Array:
    """Sums of (value - 128)^2 over the last two axes, as `reduction1_hvx` gathers them.

    32 lanes of 4 neighbors each have their own sum; the dropped bits are those of the lanes.
    """
    outputs, outer, inner = rows.shape
    squares = np.square(rows.astype(np.int64) - 128)
    padded = np.zeros((outputs, outer, -(-inner // 128) * 128), np.int64)
    padded[:, :, :inner] = squares
    lanes = padded.reshape(outputs, outer, -1, 32, 4).sum(axis=(1, 2, 4))
    total: Array = (lanes >> bits).sum(axis=1)
    return total


@kernel("Moments_8to32")
def moments(call: KernelCall) -> list[Array]:
    """Mean in the input's range, variance as int32 in units of its scale squared."""
    x, low, high = call.inputs[0], call.scalar(2), call.scalar(3)
    axes = axes_of(call, 1)
    if (call.inputs[1] < 0).any():
        raise GraphError("Moments_8to32 with a negative axis", why="the library rejects it")
    mean, variance = mean_and_variance(x, axes)
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    step = F32(F32(high - low) / F32(255.0))
    limit = F32(F32(F32(2.0**31) * step) * step)
    return [
        mean.astype(np.uint8).reshape(shape),
        variance.astype(np.int32).reshape(shape),
        *as_range(low, high),
        *as_range(F32(-limit), limit),
    ]


def mean_and_variance(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Means and variances, one for each kept position in order."""
    kept = [axis for axis in range(4) if axis not in axes]
    last = max(axes)
    first_of_last = next(a for a in range(last, -2, -1) if a not in axes) + 1
    outer = [axis for axis in sorted(axes) if axis < first_of_last]
    inner = [axis for axis in sorted(axes) if axis >= first_of_last]
    count = prod(x.shape[axis] for axis in axes)
    if prod(x.shape[axis] for axis in inner) == 1:
        if count > 1:
            raise GraphError(
                f"Moments_8to32 of {x.shape} over the axes {axes}",
                why="the library copies the input where its innermost reduced size is 1",
            )
        return x.ravel(), np.zeros(x.size, np.int64)
    inner_size = prod(x.shape[axis] for axis in inner)
    rows = x.transpose(*kept, *outer, *inner).reshape(-1, count // inner_size, inner_size)
    bits = guard_bits(count)
    share = min(0x7FFFFFFF, 0x80000000 // count)
    total = rows.sum(axis=(1, 2), dtype=np.int64)
    mean = frac_mul(total, share)
    twice = (2 * total - count * mean) >> bits
    if prod(x.shape[last + 1 :]) == 1:
        squares = centered_squares(rows, bits) - twice * mean
        squares += ((total - 64 * count) << 8) >> bits
    else:
        squares = sums_of_squares(rows, bits) - twice * mean
    return mean, frac_mul(squares, share << bits)
