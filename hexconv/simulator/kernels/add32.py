"""Sums of two uint8 tensors in int32: QuantizedAdd_8p8to32 and QuantizedBiasAdd_8p8to32."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.elementwise import input_ranges
from hexconv.simulator.numerics.fixed_point import (
    F32,
    HALF,
    ZERO,
    as_range,
    broadcast_shape,
    derived,
    quantize_code,
    round_int,
    step_and_zero,
)
from hexconv.simulator.registry import KernelCall, kernel

_LARGEST = 0x7F80  # the factor of the operand with the larger scale


class Factors(NamedTuple):
    """out = a*factor_a + b*factor_b - offset."""

    factor_a: int
    factor_b: int
    offset: int
    high: F32


@derived
def factors_for(a: tuple[float, float], b: tuple[float, float]) -> Factors:
    """Integer factors in proportion to the scales (`addsub_832_execute`)."""
    step_a, zero_a = step_and_zero(F32(a[0]), F32(a[1]))
    step_b, zero_b = step_and_zero(F32(b[0]), F32(b[1]))
    if abs(step_a) > abs(step_b):
        largest, factor_a = step_a, _LARGEST
        factor_b = round_int(F32(F32(step_b * F32(_LARGEST)) / max(F32(1e-10), abs(step_a))))
    else:
        largest, factor_b = step_b, _LARGEST
        factor_a = round_int(F32(F32(step_a * F32(_LARGEST)) / max(F32(1e-10), abs(step_b))))
    if largest <= 0:
        raise GraphError(f"QuantizedAdd_8p8to32 with empty input ranges {a} and {b}")
    high = F32(F32(2.0**31 / _LARGEST) * largest)
    return Factors(factor_a, factor_b, factor_a * zero_a + factor_b * zero_b, high)


@kernel("QuantizedAdd_8p8to32")
def add_to_32(call: KernelCall) -> list[Array]:
    """Sum in int32, any broadcast (nnlib op_addsubmul_8to32.c)."""
    a, b = call.inputs[:2]
    broadcast_shape(call.op, a, b)
    factors = factors_for(*input_ranges(call))
    left = a.astype(np.int32)
    left *= factors.factor_a
    right = b.astype(np.int32)
    right *= factors.factor_b
    right -= factors.offset
    return [left + right, *as_range(F32(-factors.high), factors.high)]


class FloatFactors(NamedTuple):
    """out = int((x - zero)*factor + (bias - bias_zero)*bias_factor + 0.5), in float32."""

    zero: int
    factor: F32
    bias_zero: int
    bias_factor: F32
    high: F32


@derived
def bias_factors_for(x: tuple[float, float], bias: tuple[float, float]) -> FloatFactors:
    """Float factors onto +-2^17 times the largest magnitude (`biasadd_8p8to32_execute`)."""
    x_low, x_high, b_low, b_high = (F32(v) for v in (*x, *bias))
    high = max(max(abs(x_low), x_high), max(abs(b_low), b_high))
    high = F32(high * F32(1 << 17))
    out_step = F32(F32(high + high) / F32(2.0**32))
    step = F32(F32(x_high - x_low) / F32(255.0))
    bias_step = F32(F32(b_high - b_low) / F32(255.0))
    scale = F32(F32(255.0) / max(F32(1e-18), F32(b_high - b_low)))
    bias_zero = max(0, round_int(F32(F32(ZERO - b_low) * scale)))
    return FloatFactors(
        quantize_code(ZERO, x_low, x_high),
        F32(step / out_step),
        bias_zero,
        F32(bias_step / out_step),
        high,
    )


@kernel("QuantizedBiasAdd_8p8to32")
def bias_add_to_32(call: KernelCall) -> list[Array]:
    """Sum with one value per channel, through float32 (nnlib op_biasadd.c)."""
    x, bias = call.inputs[:2]
    if bias.shape != (1, 1, 1, x.shape[3]):
        raise GraphError(f"bias of shape {bias.shape} for a tensor of depth {x.shape[3]}")
    factors = bias_factors_for(*input_ranges(call))
    addend = (bias.astype(F32) - F32(factors.bias_zero)) * factors.bias_factor
    total = (x.astype(F32) - F32(factors.zero)) * factors.factor
    total += addend
    total += HALF
    return [total.astype(np.int32), *as_range(F32(-factors.high), factors.high)]
