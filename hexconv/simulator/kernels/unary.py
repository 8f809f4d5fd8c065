"""QuantizedRelu_8, ReluX, Clamp, Neg, Sqrt and HardSwish: one uint8 value in, one out.

nnlib op_relu.c, op_neg.c, op_add_d32.c (Neg), op_sqrt.c; HardSwish is in the shipped library only
and follows what that one returns.
"""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import (
    F32,
    ZERO,
    as_range,
    derived,
    quantize_code,
    quantize_codes,
    require_finite,
    step_and_zero,
)
from hexconv.simulator.numerics.tables import look_up
from hexconv.simulator.registry import KernelCall, kernel

code_of = derived(quantize_code)


@kernel("QuantizedRelu_8")
def relu(call: KernelCall) -> list[Array]:
    """Values clamped from the zero point up; the range stays."""
    x, low, high = call.inputs[0], call.scalar(1), call.scalar(2)
    return [np.maximum(x, np.uint8(code_of(ZERO, low, high))), *as_range(low, high)]


def clamped(call: KernelCall, least: F32, most: F32) -> list[Array]:
    """Values clamped between two limits; the upper one wins."""
    x, low, high = call.inputs[0], call.scalar(1), call.scalar(2)
    codes = np.maximum(x, np.uint8(code_of(least, low, high)))
    np.minimum(codes, np.uint8(code_of(most, low, high)), out=codes)
    return [codes, *as_range(low, high)]


@kernel("QuantizedReluX_8")
def relu_x(call: KernelCall) -> list[Array]:
    """Values clamped between zero and input 3."""
    return clamped(call, ZERO, call.scalar(3))


@kernel("QuantizedClamp_8")
def clamp(call: KernelCall) -> list[Array]:
    """Values clamped between inputs 3 and 4."""
    return clamped(call, call.scalar(3), call.scalar(4))


@kernel("QuantizedNeg_8", "QuantizedNeg_8_d32")
def negate(call: KernelCall) -> list[Array]:
    """Ones' complement of the values, the range mirrored."""
    low, high = call.scalar(1), call.scalar(2)
    return [np.bitwise_not(call.inputs[0]), *as_range(F32(-high), F32(-low))]


# The library's table is the square root of value/255, to the nearest value.
SQUARE_ROOTS = np.floor(np.sqrt(255.0 * np.arange(256)) + 0.5).astype(np.uint8)


@kernel("QuantizedSqrt_8")
def square_root(call: KernelCall) -> list[Array]:
    """Square root through one fixed table, which is correct only for a range from 0."""
    low, high = call.scalar(1), call.scalar(2)
    if low != 0:
        raise GraphError(
            f"QuantizedSqrt_8 of a range that starts at {low}",
            why="the library rejects a negative minimum, and a positive one gives wrong values",
            hint="give its producer a range from exactly 0",
        )
    return [look_up(SQUARE_ROOTS, call.inputs[0]), *as_range(np.sqrt(low), np.sqrt(high))]


def hard_swish_of(x: Array) -> Array:
    """x * clip(x + 3, 0, 6) / 6 in float32."""
    out: Array = x * np.clip(x + F32(3.0), F32(0.0), F32(6.0)) / F32(6.0)
    return out


@derived
def hard_swish_table(low: F32, high: F32, out_low: F32, out_high: F32) -> Array:
    """256 values of the output range; the input's zero point counts as exactly zero."""
    step, zero = step_and_zero(low, high)
    values = (np.arange(256, dtype=np.int32) - zero).astype(F32) * step
    return quantize_codes(hard_swish_of(values), out_low, out_high)


@kernel("QuantizedHardSwish_8_d32")
def hard_swish(call: KernelCall) -> list[Array]:
    """x * relu6(x + 3) / 6, in the range of inputs 3 and 4, or the one that the input's implies.

    Neither range is moved for an exact zero. The minimum of the function, -0.375, is at -1.5.
    """
    low, high = call.scalar(1), call.scalar(2)
    if len(call.inputs) > 3:
        out_low, out_high = call.scalar(3), call.scalar(4)
        require_finite(call.op, out_low, out_high)
    else:
        ends = hard_swish_of(np.array([max(low, F32(-1.5)), high], F32))
        out_low, out_high = F32(ends[0]), F32(ends[1])
    table = hard_swish_table(low, high, out_low, out_high)
    return [look_up(table, call.inputs[0]), *as_range(out_low, out_high)]
