"""QuantizedTanh_16 and QuantizedSigmoid_16: a cubic in each of 16 segments (nnlib op_tanh_16.c)."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import (
    F32,
    as_range,
    derived,
    exponent,
    ldexp,
    round_int,
)
from hexconv.simulator.numerics.hvx import numbers
from hexconv.simulator.registry import KernelCall, kernel

# tanh over s = (1 - |x|*3/16)^2 in 16 equal segments: coefficients of s^3, s^2, s, 1 with 23, 20,
# 17 and 15 fractional bits, as the library's hvx_constants.c has them (facts: they decide bits).
_CUBIC = numbers("""
    -1125  -742 -1192 -1725 -2424 -3266 -4178 -5006
    -5405 -4952 -3158   262  4941  9594 12789 13087

      -36  -390  -672 -1115 -1760 -2667 -3894 -5465
    -7354 -9406 -11296 -12509 -12443 -10586 -6953 -2101

      -58  -117  -250  -475  -837 -1392 -2214 -3385
    -4987 -7078 -9658 -12622 -15726 -18595 -20788 -21927

    32766 32746 32702 32613 32453 32179 31735 31044
    30007 28509 26426 23647 20101 15800 10858  5494
""").reshape(4, 16)


@derived
def input_scale(low: F32, sigmoid: bool) -> tuple[int, int]:
    """Factor and shift from |value| to 16/3 = 65536 (`set_input_scale`)."""
    factor = shift = 0
    if low < F32(-1e-5):
        scale = F32(F32(-3.0 / 8.0) * low)
        if sigmoid:
            scale = F32(scale * F32(0.5))
        shift = 15 - exponent(F32(scale * F32(1.0000305)))
        if 0 < shift <= 18:
            shift = min(shift, 15)
            factor = round_int(ldexp(scale, shift))
    if factor == 0:
        raise GraphError(f"tanh or sigmoid of int16 values in a range from {low}: out of bounds")
    return factor, shift


def step_down(sum_so_far: Array, by: Array, plus: Array) -> Array:
    """sum*by with 15 fractional bits, rounded, plus the next coefficient; saturated to int16."""
    out: Array = np.clip(((sum_so_far * by + (1 << 14)) >> 15) + plus, -32768, 32767)
    return out


@derived
def codes_table(low: F32, sigmoid: bool) -> Array:
    """The result for every int16 value, at index value & 0xFFFF."""
    factor, shift = input_scale(low, sigmoid)
    x = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int64)
    size = np.abs(x)
    near = 65535 - np.minimum((size * factor) >> shift, 65535)
    square = (near * near) >> 16
    segment, rest = square >> 12, square & 0xFFF
    c3, c2, c1, c0 = (row[segment] for row in _CUBIC)
    y = step_down(step_down(c3, rest, c2), rest, c1)
    y = step_down(y, 2 * rest, c0)
    y = np.where(x < 0, np.minimum(-y, 32767), y)
    if sigmoid:
        y = (y + 32767 + 1) >> 1
    return y.astype(np.int16)


@kernel("QuantizedTanh_16", "QuantizedSigmoid_16")
def tanh_sigmoid_16(call: KernelCall) -> list[Array]:
    """tanh(x), or 1/(1 + exp(-x)); the output range is -1..1 for both."""
    table = codes_table(call.scalar(1), call.op == "QuantizedSigmoid_16")
    codes = np.take(table, call.inputs[0].view(np.uint16))
    return [codes, *as_range(-1.0, 1.0)]
