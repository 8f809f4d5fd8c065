"""QuantizedSum_8to32 and QuantizedMean_8 (nnlib op_reducing_sum.c, op_reducing_mean.c)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import (
    F32,
    ZERO,
    as_range,
    derived,
    exponent,
    frac_mul,
    fraction,
    quantize_code,
    require_finite,
    round_shift,
    step_and_zero,
    to_codes,
    zero_exact,
)
from hexconv.simulator.registry import KernelCall, kernel

_LANES = 32  # int32 values of one vector
MOST_SHIFT = 31
"""Of the bits that means are shifted by; a larger shift is this one without rounding."""


def axes_of(call: KernelCall, index: int) -> tuple[int, ...]:
    """The axes to reduce over, as 0..3 in the node's own order."""
    return wrapped_axes([int(axis) for axis in call.inputs[index].ravel()], call.op)


def wrapped_axes(axes: Sequence[int], op: str) -> tuple[int, ...]:
    """Axes of which negative ones count from the end, as 0..3."""
    wrapped = tuple(axis + 4 if axis < 0 else axis for axis in axes)
    if not wrapped or len(set(wrapped)) != len(wrapped) or not set(wrapped) <= {0, 1, 2, 3}:
        raise GraphError(f"{op} over the axes {tuple(axes)}", why="they must be distinct, -4..3")
    return wrapped


def require_whole_rows(call: KernelCall, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    """Raise where the second pass of the library stores vectors at unaligned addresses.

    `reduce_sum_single_axis_hvx_32` (nn_reduce_utils.h) rounds the address of each later row down.
    """
    sizes = list(shape)
    for place, axis in enumerate(axes):
        rows, row = prod(sizes[:axis]), prod(sizes[axis + 1 :])
        if place > 0 and rows > 1 and row > _LANES and row % _LANES:
            raise GraphError(
                f"{call.op} of {shape} over the axes {axes}",
                why=f"the library mixes up rows of {row} values, not a multiple of 32",
                hint="reduce one axis at a time, or pad the depth to a multiple of 32",
            )
        sizes[axis] = 1


def summed(call: KernelCall, axes: tuple[int, ...]) -> tuple[Array, int]:
    """Sums of values, int64, and the number of values in each."""
    x = call.inputs[0]
    count = prod(x.shape[axis] for axis in axes)
    if count < x.size:
        require_whole_rows(call, x.shape, axes)
    # A product with ones is how NumPy adds up short integers fastest; 2^53 is out of reach.
    return x.sum(axis=axes, keepdims=True, dtype=np.int64), count


@kernel("QuantizedSum_8to32")
def reduce_sum(call: KernelCall) -> list[Array]:
    """int32 sums of values less their zero point; the range of int32 in the input's scale."""
    low, high = zero_exact(call.scalar(1), call.scalar(2))
    total, count = summed(call, axes_of(call, 3))
    total -= count * quantize_code(ZERO, low, high)
    limit = F32(F32(2.0**31) * F32(F32(high - low) / F32(255.0)))
    return [total.astype(np.int32), *as_range(F32(-limit), limit)]


class MeanScale(NamedTuple):
    """mean = ((sum - zero_in)*factor/2^31 >> shift) + zero_out, both steps rounded."""

    zero_in: int
    zero_out: int
    factor: int
    shift: int


@derived
def mean_scale(in_low: F32, in_high: F32, out_low: F32, out_high: F32, count: int) -> MeanScale:
    """Fixed-point parameters (`set_output_scaling_for_mean`)."""
    in_step, zero_in = step_and_zero(in_low, in_high)
    out_step, zero_out = step_and_zero(out_low, out_high)
    ratio = F32(in_step / F32(out_step * F32(count)))
    if not ratio > 0:
        raise GraphError(
            f"QuantizedMean_8 of {count} values of {in_low}..{in_high} into {out_low}..{out_high}"
        )
    # The library clamps the ratio below 1: with a finer scale than that of the sum, means come out
    # too small.
    ratio = min(F32(0.99999), ratio)
    factor = int(float(fraction(ratio)) * 2**31)
    return MeanScale(zero_in * count, zero_out, factor, -exponent(ratio))


@kernel("QuantizedMean_8")
def reduce_mean(call: KernelCall) -> list[Array]:
    """Means rounded twice: once after the multiplication, once after the shift.

    Of an input far below the requested range the shift is not rounded (`RoundingDivideByPOT`):
    negative means end a level below zero.
    """
    in_low, in_high = zero_exact(call.scalar(1), call.scalar(2))
    low, high = in_low, in_high
    if len(call.inputs) > 4:
        low = call.scalar(4)
    if len(call.inputs) > 5:
        high = call.scalar(5)
    require_finite(call.op, low, high)
    if not low <= 0 <= high:
        raise GraphError(
            f"QuantizedMean_8 into {low}..{high}, which does not contain zero",
            why="the library computes its values as if it did",
            hint="widen the output range to contain zero",
        )
    total, count = summed(call, axes_of(call, 3))
    scale = mean_scale(in_low, in_high, low, high, count)
    total -= scale.zero_in
    scaled = frac_mul(total, scale.factor)
    loud = scale.shift <= MOST_SHIFT
    codes = (round_shift(scaled, scale.shift) if loud else scaled >> MOST_SHIFT) + scale.zero_out
    # The library packs the low 16 bits before it saturates.
    return [to_codes(codes.astype(np.int16)), *as_range(low, high)]
