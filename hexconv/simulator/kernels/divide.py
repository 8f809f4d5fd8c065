"""QuantizedDiv_8 and QuantizedRecip_8 (nnlib op_div.c, op_recip.c)."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.elementwise import input_ranges
from hexconv.simulator.numerics.fixed_point import (
    F32,
    ZERO,
    as_range,
    derived,
    quantize_codes,
    require_finite,
)
from hexconv.simulator.numerics.tables import look_up
from hexconv.simulator.registry import KernelCall, kernel

_LARGE = 256  # from this many elements on, Recip uses a table


@derived
def code_values(low: float, high: float) -> Array:
    """low + value*step as the division ops compute it, in float32."""
    step = F32(F32(F32(high) - F32(low)) / F32(255.0))
    values: Array = F32(low) + np.arange(256, dtype=F32) * step
    return values


def divisors(call: KernelCall, b_range: tuple[float, float]) -> Array:
    """The real divisors, one or one per channel; float32, none of them zero."""
    a, b = call.inputs[:2]
    if b.shape[:3] != (1, 1, 1) or b.shape[3] not in (1, a.shape[3]):
        raise GraphError(
            f"QuantizedDiv_8 of {a.shape} by {b.shape}",
            why="the library divides by one value, or by one per channel",
            hint="multiply by the reciprocal (QuantizedRecip_8) instead",
        )
    values = code_values(*b_range)[b.ravel()]
    if not values.all():
        raise GraphError("QuantizedDiv_8 by zero", why="the library rejects it")
    return values


def natural_range(a_low: F32, a_high: F32, by: Array) -> tuple[F32, F32]:
    """All quotients of both ends by every divisor, widened to contain zero."""
    ends = np.concatenate([a_low / by, a_high / by])
    low, high = F32(ends.min()), F32(ends.max())
    low, high = F32(low + ZERO), F32(high + ZERO)  # -0 becomes 0
    if low < 0 and high < 0:
        high = ZERO
    if low > 0 and high > 0:
        low = ZERO
    return low, high


@kernel("QuantizedDiv_8")
def divide(call: KernelCall) -> list[Array]:
    """Division by one value or one per channel (`div_execute`)."""
    a = call.inputs[0]
    a_range, b_range = input_ranges(call)
    by = divisors(call, b_range)
    a_low, a_high = F32(a_range[0]), F32(a_range[1])
    if len(call.inputs) > 6:
        low, high = call.scalar(6), call.scalar(7)
        require_finite(call.op, low, high)
    elif by.size == 1:
        ends = F32(a_low / by[0]), F32(a_high / by[0])
        return [a.copy(), *as_range(*ends)] if by[0] > 0 else [255 - a, *as_range(*ends[::-1])]
    else:
        low, high = natural_range(a_low, a_high, by)
    quotients = code_values(*a_range)[None, :] / by[:, None]
    tables = quantize_codes(quotients, low, high)
    if by.size == 1:
        return [look_up(tables[0], a), *as_range(low, high)]
    return [tables[np.arange(by.size), a], *as_range(low, high)]


def present_codes(codes: Array, low: F32, high: F32) -> tuple[int, int, int, int]:
    """Bounds of the values below and above zero that the library takes the output range from.

    From `_LARGE` elements on, it uses whole intervals of values, present or not (`recip_execute`).
    Returns first and last value of the negative interval, then of the positive one (last < first
    where there is none).
    """
    if low < 0 < high:
        zero = int(np.floor(float(F32(-low / F32(F32(high - low) / F32(255.0)))) + 0.5)) & 0xFF
        below, above = codes[codes < zero], codes[codes > zero]
        return 0, int(below.max(initial=0)), int(above.min(initial=255)), 255
    if low == 0 and high > 0:
        return 0, -1, int(codes.min()), 255
    if low < 0 and high == 0:
        return 0, int(codes.max()), 0, -1
    raise GraphError(
        f"QuantizedRecip_8 of {codes.size} values of a range {low}..{high} without zero",
        why="from 256 elements on the library reads an unset output range",
        hint="widen the input range to contain zero",
    )


@kernel("QuantizedRecip_8")
def reciprocal(call: KernelCall) -> list[Array]:
    """1/x, in the range that the data needs."""
    codes, low, high = call.inputs[0], call.scalar(1), call.scalar(2)
    values = code_values(float(low), float(high))
    step = F32(F32(high - low) / F32(255.0))
    if low <= 0 <= high and (codes == int(float(F32(-low / step)) + 0.5)).any():
        raise GraphError(
            f"QuantizedRecip_8 of a zero in {low}..{high}",
            why="its reciprocal is infinite, and the library then loses all the others",
            hint="keep the input away from zero",
        )
    if codes.size < _LARGE:
        used = np.unique(codes)
    else:
        first, last, start, end = present_codes(codes, low, high)
        used = np.array([*range(first, last + 1), *range(start, end + 1)], dtype=np.int64)
        used = used[values[used] != 0]
    inverse = np.zeros(256, F32)
    inverse[used] = F32(1.0) / values[used]
    out_low, out_high = F32(inverse[used].min()), F32(inverse[used].max())
    if out_low < 0 and out_high < 0:
        out_high = ZERO
    if out_low > 0 and out_high > 0:
        out_low = ZERO
    out_step = F32(F32(out_high - out_low) / F32(255.0))
    table = np.clip(np.floor((inverse - out_low) / out_step + F32(0.5)), 0, 255).astype(np.uint8)
    return [look_up(table, codes), *as_range(out_low, out_high)]
