"""QuantizedRelu_8, ReluX, Clamp, Neg and Sqrt: one uint8 code in, one out.

nnlib op_relu.c, op_neg.c, op_add_d32.c (Neg), op_sqrt.c.
"""

from __future__ import annotations

import numpy as np

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Array
from hexconv.simulator.fixed_point import F32, ZERO, as_range, derived, quantize_code
from hexconv.simulator.registry import Call, kernel

code_of = derived(quantize_code)


@kernel("QuantizedRelu_8")
def relu(call: Call) -> list[Array]:
    """Codes held above the zero code; the range stays."""
    x, low, high = call.inputs[0], call.scalar(1), call.scalar(2)
    return [np.maximum(x, np.uint8(code_of(ZERO, low, high))), *as_range(low, high)]


def clamped(call: Call, least: F32, most: F32) -> list[Array]:
    """Codes held between those of two values; the upper one wins."""
    x, low, high = call.inputs[0], call.scalar(1), call.scalar(2)
    codes = np.maximum(x, np.uint8(code_of(least, low, high)))
    np.minimum(codes, np.uint8(code_of(most, low, high)), out=codes)
    return [codes, *as_range(low, high)]


@kernel("QuantizedReluX_8")
def relu_x(call: Call) -> list[Array]:
    """Codes held between those of zero and of input 3."""
    return clamped(call, ZERO, call.scalar(3))


@kernel("QuantizedClamp_8")
def clamp(call: Call) -> list[Array]:
    """Codes held between those of inputs 3 and 4."""
    return clamped(call, call.scalar(3), call.scalar(4))


@kernel("QuantizedNeg_8", "QuantizedNeg_8_d32")
def negate(call: Call) -> list[Array]:
    """Ones' complement of the codes, the range mirrored."""
    low, high = call.scalar(1), call.scalar(2)
    return [np.bitwise_not(call.inputs[0]), *as_range(F32(-high), F32(-low))]


# The library's table is the square root of code/255, to the nearest code.
_SQUARE_ROOTS = np.floor(np.sqrt(255.0 * np.arange(256)) + 0.5).astype(np.uint8)


@kernel("QuantizedSqrt_8")
def square_root(call: Call) -> list[Array]:
    """Square root through one fixed table, which is right for a range from 0 only."""
    low, high = call.scalar(1), call.scalar(2)
    if low != 0:
        raise GraphError(
            f"QuantizedSqrt_8 of a range that starts at {low}",
            why="the library refuses a negative minimum, and a positive one gives wrong codes",
            todo="give its producer a range from exactly 0",
        )
    return [np.take(_SQUARE_ROOTS, call.inputs[0]), *as_range(np.sqrt(low), np.sqrt(high))]
