"""Float to uint8 and back: Quantize, AutoQuantize, Dequantize, and the two ends of MACE's graphs.

nnlib op_quantize.c and asm_src/autoquantize_h.S.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hexconv import native
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import (
    F32,
    as_range,
    derived,
    div255,
    require_finite,
    round_int,
    sat_u8,
    to_codes,
    zero_exact,
)
from hexconv.simulator.numerics.tables import look_up
from hexconv.simulator.registry import KernelCall, kernel


class FloatScale(NamedTuple):
    """value = (trunc(x * 2^power) + offset) * factor / 2^24 (`find_scaling_for_hvx_quant`)."""

    low: F32
    high: F32
    power: int
    offset: int
    factor: int


def _parts(x: F32) -> tuple[int, int]:
    """Exponent field and mantissa, hidden bit restored."""
    bits = int(F32(x).view(np.uint32))
    return (bits >> 23) & 0xFF, (bits & 0x7FFFFF) | 0x800000


@derived
def float_scale(low: F32, high: F32) -> FloatScale:
    """Integer parameters for a range from 0 or below; it is widened until zero is exact."""
    high = max(F32(low + F32(1e-18)), high)
    if low < 0:
        low, high = zero_exact(low, high)
    span_exponent, span_mantissa = _parts(F32(F32(high - low) * F32(1.003921569)))
    common = span_exponent + 4
    low_exponent, low_mantissa = _parts(low)
    behind = common - low_exponent
    offset = low_mantissa >> behind if behind < 24 else 0
    span_mantissa >>= 4
    factor = 0xFFFFFFFF // span_mantissa
    return FloatScale(low, high, 150 - common, offset + (span_mantissa >> 9), factor & 0xFFFF)


def quantize(x: Array, low: F32, high: F32) -> list[Array]:
    """float32 to uint8 in the (widened) range, as `quantize_floats_to_8b_asm`.

    The library truncates values to about 20 bits towards zero before it scales them.
    """
    scale = float_scale(low, high)
    return [_scaled(x, scale), *as_range(scale.low, scale.high)]


def _scaled(x: Array, scale: FloatScale) -> Array:
    """(trunc(x * 2^power) + offset) * factor / 2^24."""
    power, factor = 2.0**scale.power, scale.factor * 2.0**-24
    passes = native.library()
    if passes is not None:
        return passes.quantize(x, power, scale.offset, factor)
    cut = x.astype(np.float64)
    cut *= power
    np.trunc(cut, out=cut)
    cut += scale.offset
    cut *= factor
    return to_codes(cut)


def quantize_found(x: Array) -> list[Array]:
    """float32 to uint8 in the range of the data and zero (`autoquantize_work`)."""
    if not np.isfinite(x).all():
        raise GraphError("the data to quantize contains inf or NaN", why="the library rejects it")
    # The library keeps the minimum negated from +0 on, so that an empty side gives -0.
    low = F32(min(F32(-0.0), x.min()))
    return quantize(x, F32(-0.0) if low == 0 else low, F32(max(F32(0.0), x.max())))


@kernel("Quantize")
def quantize_to_range(call: KernelCall) -> list[Array]:
    """float32 to uint8 in a requested range (`quantize_execute_opt`)."""
    x, low, high = call.inputs[0], call.scalar(1), call.scalar(2)
    require_finite(call.op, low, high)
    if low > 0:
        raise GraphError(
            f"Quantize to {low}..{high}, which starts above zero",
            why="the library quantizes to a range from zero but reports the requested one",
            hint="widen the range to contain zero",
        )
    value_range = float(high) - float(low)
    if float(np.abs(x).max()) > 1024 * max(value_range, 1e-18):
        raise GraphError(
            f"Quantize to {low}..{high} of data that reaches {np.abs(x).max()}",
            why="the library's integers overflow beyond a thousand times the range",
        )
    return quantize(x, low, high)


@kernel("AutoQuantize")
def auto_quantize(call: KernelCall) -> list[Array]:
    """float32 to uint8 in the range of the data."""
    return quantize_found(call.inputs[0])


@kernel("QuantizeINPUT_f_to_8")
def quantize_input(call: KernelCall) -> list[Array]:
    """One input of the graph: float32 quantized over its own range, or uint8 taken as it is.

    Inputs are (data, min, max, flag); min and max count only where the flag is 0.
    """
    data, low, high, flag = call.inputs
    if int(flag.flat[0]):
        return quantize_found(data)
    return [data.astype(np.uint8, copy=False), *as_range(low.flat[0], high.flat[0])]


@derived
def exact_steps(zero: int, step: F32) -> Array:
    """(value - zero)*step for all 256 values, halves rounded away from zero.

    `hvx_do_dequantize` computes the floats from integer products; IEEE would round halves to even.
    """
    distance = np.arange(256, dtype=np.int64) - zero
    mantissa, power = math.frexp(float(step))
    product = np.abs(distance) * int(mantissa * 2**24)
    up = 32 - np.frexp(product.astype(np.float64))[1]
    rounded = ((product << up) + 0x80) >> 8
    values = np.ldexp(rounded.astype(np.float64), 8 - up + power - 24)
    signed: Array = np.copysign(values, distance).astype(F32) * (distance != 0)
    return signed


@derived
def float_table(low: float, high: float) -> Array:
    """The float32 of every quantized value of a range (`dequantize_execute`)."""
    step = div255(max(F32(1e-18), F32(F32(high) - F32(low))))
    if not 0 <= step < F32(2.0**121):
        raise GraphError(f"a range of {low}..{high} cannot be converted to floats")
    if step < F32(2.0**-126):
        return np.zeros(256, F32)
    return exact_steps(sat_u8(round_int(F32(-F32(low) / step))), step)


def dequantize(codes: Array, low: F32, high: F32) -> Array:
    """uint8 to float32."""
    return look_up(float_table(float(low), float(high)), codes)


@kernel("Dequantize")
def dequantize_node(call: KernelCall) -> list[Array]:
    """uint8 to float32."""
    return [dequantize(call.inputs[0], call.scalar(1), call.scalar(2))]


@kernel("DequantizeOUTPUT_8tof")
def dequantize_output(call: KernelCall) -> list[Array]:
    """One output of the graph: float32 data, and the range that it had."""
    data, low, high = call.inputs
    return [
        dequantize(data, call.scalar(1), call.scalar(2)),
        *as_range(low.flat[0], high.flat[0]),
    ]
