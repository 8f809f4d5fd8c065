"""QuantizedMaximum_8, QuantizedMinimum_8 and Select_8 (nnlib op_minimum_maximum.c, op_select_8.c).

Operands whose range is not the output's are requantized first, by a 12-bit multiplier.
"""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.elementwise import input_ranges
from hexconv.simulator.numerics.fixed_point import (
    F32,
    ZERO,
    as_range,
    broadcast_shape,
    derived,
    quantize_code,
    require_finite,
    step_and_zero,
    zero_exact,
)
from hexconv.simulator.numerics.tables import look_up
from hexconv.simulator.registry import KernelCall, kernel

_BITS = 12


def moved_table(factor: int, in_zero: int, out_zero: int) -> Array:
    """256 values requantized to another range (`jointly_quantize` of hvx_inlines.h).

    The factor has 16 bits: it overflows where the output range is below a sixteenth of the input's.
    """
    moved = (np.arange(256, dtype=np.int64) - in_zero) * (factor & 0xFFFF)
    moved = np.clip((moved + (1 << (_BITS - 1))) >> _BITS, -32768, 32767) + out_zero
    table: Array = np.clip(moved, 0, 255).astype(np.uint8)
    return table


@derived
def to_output(in_range: tuple[float, float], out_range: tuple[float, float]) -> Array | None:
    """The table into the output range (`requantize_to_outrange`); None where it is the same."""
    if in_range == out_range:
        return None
    in_step, in_zero = step_and_zero(F32(in_range[0]), F32(in_range[1]))
    out_step, out_zero = step_and_zero(F32(out_range[0]), F32(out_range[1]))
    factor = int(np.floor(float(F32(F32(1 << _BITS) * F32(in_step / out_step))) + 0.5))
    return moved_table(factor, in_zero, out_zero)


def in_output_range(
    codes: Array, in_range: tuple[float, float], out_range: tuple[float, float]
) -> Array:
    """Values in the output range."""
    table = to_output(in_range, out_range)
    return codes if table is None else look_up(table, codes)


@kernel("QuantizedMaximum_8", "QuantizedMinimum_8")
def larger_or_smaller(call: KernelCall) -> list[Array]:
    """The larger, or smaller, of two values, any broadcast (`minmax_execute`)."""
    a, b = call.inputs[:2]
    broadcast_shape(call.op, a, b)
    a_range, b_range = input_ranges(call)
    low = min(a_range[0], b_range[0])
    high = max(a_range[1], b_range[1])
    if len(call.inputs) > 6:
        low = float(call.scalar(6))
    if len(call.inputs) > 7:
        high = float(call.scalar(7))
    require_finite(call.op, low, high)
    if low >= high:
        raise GraphError(f"{call.op} into the empty range {low}..{high}")
    pick = np.maximum if call.op == "QuantizedMaximum_8" else np.minimum
    left = in_output_range(a, a_range, (low, high))
    right = in_output_range(b, b_range, (low, high))
    return [pick(left, right), *as_range(low, high)]


@derived
def selection(
    a_range: tuple[float, float], b_range: tuple[float, float]
) -> tuple[Array, Array, F32, F32]:
    """Both tables into the union of the ranges, and that union (`select_execute`)."""
    ranges = [(F32(low), F32(high)) for low, high in (a_range, b_range)]
    low, high = zero_exact(min(ranges[0][0], ranges[1][0]), max(ranges[0][1], ranges[1][1]))
    out_step = F32(F32(high - low) / F32(255.0))
    out_zero = quantize_code(ZERO, low, high)
    tables = []
    for in_low, in_high in ranges:
        step = F32(F32(in_high - in_low) / F32(255.0))
        factor = int(F32(F32(1 << _BITS) * F32(step / out_step)))
        tables.append(moved_table(factor, quantize_code(ZERO, in_low, in_high), out_zero))
    return tables[0], tables[1], low, high


@kernel("Select_8")
def select(call: KernelCall) -> list[Array]:
    """Values of X where the condition's lowest bit is set, of Y elsewhere; no broadcast."""
    condition, x, y = call.inputs[0], call.inputs[1], call.inputs[4]
    if not condition.shape == x.shape == y.shape:
        raise GraphError(
            f"Select_8 of shapes {condition.shape}, {x.shape} and {y.shape}",
            why="the library reads all three as if they had one shape",
            hint="tile them to one shape",
        )
    x_low, x_high, y_low, y_high = (float(call.scalar(i)) for i in (2, 3, 5, 6))
    x_table, y_table, low, high = selection((x_low, x_high), (y_low, y_high))
    codes, other = look_up(x_table, x), look_up(y_table, y)
    chosen = np.negative(condition & np.uint8(1))  # 255 where the bit is set: no branches
    return [other ^ ((codes ^ other) & chosen), *as_range(low, high)]
