"""QuantizedMul_8x8to8, flat and d32, and QuantizedMul_8x8to32.

nnlib op_add_d32.c (which contains the d32 form), op_mul.c (the flat one, used only where the two
operands broadcast in different directions) and op_addsubmul_8to32.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from hexconv import native
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.elementwise import BOTH_FIXED, input_ranges, wanted
from hexconv.simulator.numerics.fixed_point import (
    F32,
    MAX_FIXED,
    MIN_FIXED,
    ONE,
    ZERO,
    as_range,
    broadcast_shape,
    derived,
    div255,
    exponent,
    ldexp,
    one_sided_broadcast,
    power2,
    round_int,
    sat_i16,
    sat_u8,
    step_and_zero,
    to_codes,
    wrap_i16,
    zero_exact,
    zero_exact_fixed,
)
from hexconv.simulator.numerics.scaled_copy import scaled_copy
from hexconv.simulator.registry import KernelCall, kernel


class Operands(NamedTuple):
    """The ranges of both operands, and the ends of the output range that are given."""

    a: tuple[float, float]
    b: tuple[float, float]
    low: float | None
    high: float | None

    @property
    def fixed(self) -> int:
        """Which ends are given."""
        return MIN_FIXED * (self.low is not None) + MAX_FIXED * (self.high is not None)


@dataclass(frozen=True)
class ProductPlan:
    """The parameters that follow from the input ranges alone."""

    zero_a: int
    zero_b: int
    unit: F32  # real value of one unit of the products
    bias: int  # shifts every possible product into int16


@dataclass(frozen=True)
class ProductScaling:
    """p = product - bias; ((p*scale + 2^14 >> 15) + offset) >> shift, saturated.

    The library keeps the offset in 16 bits. It overflows, and every value is wrong, where the
    output's zero point is far from the one that follows from the inputs' (two ranges from 0 into a
    symmetric one, say): request the range that a product fills.
    """

    low: F32
    high: F32
    scale: int
    offset: int
    shift: int


@derived
def product_of(operands: Operands) -> ProductPlan:
    """Zero points and the bias (`mul_setup_scaling`)."""
    step_a, zero_a = step_and_zero(F32(operands.a[0]), F32(operands.a[1]))
    step_b, zero_b = step_and_zero(F32(operands.b[0]), F32(operands.b[1]))
    bias = (((2 * zero_a - 255) * (2 * zero_b - 255) + 256) >> 9) * 256
    return ProductPlan(zero_a, zero_b, F32(step_a * step_b), wrap_i16(bias))


def scaling_for(product: ProductPlan, low: F32, high: F32) -> ProductScaling:
    """Integer factors for one output range (`set_mul_scaling_for_output_range`)."""
    out_scale = F32(F32(255.0) / F32(high - low))
    factor = F32(out_scale * product.unit)
    shift = min(-exponent(factor), 7)
    if shift < 0:
        raise GraphError(
            f"output range {low}..{high} is finer than the product of the inputs' scales",
            why="the library would shift by a negative amount (op_add_d32.c)",
            hint="widen the output range",
        )
    unit = power2(shift)
    scale = sat_i16(round_int(F32(F32(factor * unit) * F32(32768.0))))
    offset = ((product.bias * scale + 16384) >> 15) + round_int(F32(F32(-low * out_scale) * unit))
    return ProductScaling(low, high, scale, wrap_i16(offset), shift)


@derived
def first_scaling(operands: Operands) -> ProductScaling:
    """For the given range, or an eighth of the largest that the inputs allow."""
    product = product_of(operands)
    if operands.fixed == BOTH_FIXED:
        low, high = zero_exact_fixed(F32(operands.low), F32(operands.high), BOTH_FIXED)
        return scaling_for(product, low, high)
    a_low, a_high, b_low, b_high = (F32(v) for v in (*operands.a, *operands.b))
    most = max(F32(a_high * b_high), F32(a_low * b_low))
    least = min(F32(a_high * b_low), F32(a_low * b_high))
    most = max(most, F32(least + F32(0.001)))
    low, high = F32(F32(0.125) * least), F32(F32(0.125) * most)
    if operands.fixed == MIN_FIXED:
        low, high = F32(operands.low), max(ZERO, F32(F32(operands.low) + F32(high - low)))
    elif operands.fixed == MAX_FIXED:
        low, high = min(ZERO, F32(F32(operands.high) - F32(high - low))), F32(operands.high)
    low, high = zero_exact_fixed(low, high, operands.fixed)
    return scaling_for(product, low, high)


def rescaled(operands: Operands, guess: ProductScaling, least: int, most: int) -> ProductScaling:
    """The scaling after measuring the data (`check_mul_need_rerun`).

    `least` and `most` bound product - bias; a product of zero always counts as seen.
    """
    product = product_of(operands)
    least, most = min(least, -product.bias), max(most, -product.bias)

    def code(value: int) -> int:
        scaled = ((value * guess.scale + 16384) >> 15) + guess.offset
        return ((scaled >> (guess.shift - 1)) + 1) >> 1 if guess.shift > 0 else scaled

    below = operands.low is None and code(least) < 0
    above = operands.high is None and code(most) > 255
    if not below and not above:
        return guess
    actual_low = F32(F32(least + product.bias) * product.unit)
    actual_high = F32(F32(most + product.bias) * product.unit)
    value_range = F32(actual_high - actual_low)
    value_range = F32(value_range + max(F32(F32(0.15) * value_range), F32(1e-4)))
    low, high = guess.low, guess.high
    if below:
        low = min(ZERO, F32(actual_high - value_range))
    if above:
        high = max(ZERO, F32(actual_low + value_range))
    low = low if operands.low is None else F32(operands.low)
    high = high if operands.high is None else F32(operands.high)
    if low < 0:
        low, high = zero_exact_fixed(low, high, operands.fixed)
    return scaling_for(product, low, high)


def biased_product(a: Array, b: Array, product: ProductPlan) -> Array:
    """(a - zero_a)*(b - zero_b) - bias, int16 (exact modulo 2^16, and it fits)."""
    left = a.astype(np.int16)
    left -= product.zero_a
    right = b.astype(np.int16)
    right -= product.zero_b
    if left.size < right.size:
        left, right = right, left
    left *= right
    left -= np.int16(product.bias)
    return left


@kernel("QuantizedMul_8x8to8_d32")
def mul_d32(call: KernelCall) -> list[Array]:
    """Product with one operand broadcast to the other (`addsub_d32_execute_common`, op_mul).

    With 8 inputs (shipped library) the output range is static; with 6 it starts at an eighth of
    the possible range and grows to the data: this is the first execution in a fresh graph.
    """
    plan = call.settled(2, lambda: _plan(call))
    a, b = call.inputs[:2]
    if plan.swapped:
        a, b = b, a
    operands = plan.operands
    if operands.fixed == 0 and b.size == 1:
        return mul_single(a, int(b.flat[0]), operands.a, operands.b)
    if operands.fixed == BOTH_FIXED:
        return [multiplied(a, b, plan.product, plan.scaling), *plan.ends]
    products = biased_product(a, b, plan.product)
    scaling = rescaled(operands, plan.scaling, int(products.min()), int(products.max()))
    return [multiplied(a, b, plan.product, scaling), *as_range(scaling.low, scaling.high)]


@dataclass(frozen=True)
class MulPlan:
    """The parameters that do not depend on the data; `ends` is the output range, if static."""

    swapped: bool
    operands: Operands

    @cached_property
    def product(self) -> ProductPlan:
        """Zero points and the bias."""
        return product_of(self.operands)

    @cached_property
    def scaling(self) -> ProductScaling:
        """For the given range, or the one tried first."""
        return first_scaling(self.operands)

    @cached_property
    def ends(self) -> list[Array]:
        """The range of that scaling."""
        return as_range(self.scaling.low, self.scaling.high)


def _plan(call: KernelCall) -> MulPlan:
    """Whether the second operand is the one that is broadcast."""
    a_range, b_range = input_ranges(call)
    swapped = one_sided_broadcast(call.op, *call.inputs[:2])
    if swapped:
        a_range, b_range = b_range, a_range
    low, high = wanted(call)
    low = None if low is None else min(0.0, low)
    high = None if high is None else max(0.0, high)
    if low is not None and high is not None:
        high = max(float(F32(F32(low) + F32(1e-6))), high)
    return MulPlan(swapped, Operands(a_range, b_range, low, high))


def multiplied(a: Array, b: Array, product: ProductPlan, scaling: ProductScaling) -> Array:
    """The product as quantized values."""
    offset = scaling.offset + ((1 << scaling.shift) >> 1)
    passes = native.library()
    if passes is not None:
        zeros = product.zero_a, product.zero_b
        return passes.multiply(a, b, zeros, product.bias, scaling.scale, offset, scaling.shift)
    codes = biased_product(a, b, product).astype(np.int32)
    codes *= scaling.scale
    codes += 1 << 14
    codes >>= 15
    codes += offset
    codes >>= scaling.shift
    return to_codes(codes)


def mul_single(
    a: Array, code: int, a_range: tuple[float, float], b_range: tuple[float, float]
) -> list[Array]:
    """Every element times one value, without a given output range: values stay, or are mirrored."""
    step_b, zero_b = step_and_zero(F32(b_range[0]), F32(b_range[1]))
    value = F32(F32(code - zero_b) * step_b)
    low, high = F32(F32(a_range[0]) * value), F32(F32(a_range[1]) * value)
    if value > 0:
        return [scaled_copy(a, 32767, 0), *as_range(low, high)]
    if value == 0:
        return [scaled_copy(a, 0, 0), *as_range(low, F32(0.5))]
    return [scaled_copy(a, -32768, 255 * 128), *as_range(high, low)]


@kernel("QuantizedMul_8x8to8")
def mul_flat(call: KernelCall) -> list[Array]:
    """Product where both operands broadcast (`mul_8x8to8_execute`); the range is data-dependent."""
    if len(call.inputs) > 6:
        raise GraphError(
            "QuantizedMul_8x8to8 with an output range cannot broadcast both operands",
            hint="tile one operand to the full shape first",
        )
    a, b = call.inputs[:2]
    shape = broadcast_shape(call.op, a, b)
    a_range, b_range = input_ranges(call)
    if a.size == 1 or b.size == 1:
        full, single = ((a, a_range), (b, b_range)) if b.size == 1 else ((b, b_range), (a, a_range))
        return mul_flat_single(*full, *single)
    a_low, a_high, b_low, b_high = (F32(v) for v in (*a_range, *b_range))
    step_a, zero_a = step_and_zero(a_low, a_high)
    step_b, zero_b = step_and_zero(b_low, b_high)
    products = (a.astype(np.int32) - zero_a) * (b.astype(np.int32) - zero_b)
    least, most = min(0, int(products.min())), max(0, int(products.max()))
    if least == most:
        most += 4
    scale, offset, shift, low, high = flat_plan(F32(step_a * step_b), least, most)
    products -= least
    products *= scale
    products += offset
    products >>= shift
    codes = np.minimum(products.astype(np.uint16), 255).astype(np.uint8)
    return [codes.reshape(shape), *as_range(low, high)]


@derived
def flat_plan(unit: F32, least: int, most: int) -> tuple[int, int, int, F32, F32]:
    """Scale, offset and shift for products of least..most, and the output range."""
    low, high = zero_exact(F32(F32(least) * unit), F32(F32(most) * unit))
    step = div255(F32(high - low))
    zero = sat_u8(round_int(F32(-low / step)))
    if F32(unit * F32(1.0 / 16.0)) < step:
        factor = F32(unit / step)
    else:
        factor = F32(16.0)
        step = F32(unit * F32(1.0 / 16.0))
        low, high = F32(F32(-zero) * step), F32(F32(255 - zero) * step)
    shift = min(14 - exponent(factor), 23)
    scale = round_int(ldexp(factor, shift))
    offset = ((2 * zero + 1) << (shift - 1)) + least * scale
    return scale, offset, shift, low, high


def mul_flat_single(
    full: Array, full_range: tuple[float, float], single: Array, single_range: tuple[float, float]
) -> list[Array]:
    """Every element times one value: the values stay, or are mirrored, or are all zero."""
    step, zero = step_and_zero(F32(single_range[0]), F32(single_range[1]))
    code = int(single.flat[0]) - zero
    value = F32(F32(code) * step)
    low, high = F32(F32(full_range[0]) * value), F32(F32(full_range[1]) * value)
    if code == 0:
        return [np.zeros_like(full), *as_range(ZERO, ONE)]
    if code > 0:
        return [full.copy(), *as_range(low, high)]
    return [255 - full, *as_range(high, low)]


@kernel("QuantizedMul_8x8to32")
def mul_to_32(call: KernelCall) -> list[Array]:
    """(a - zero_a)*(b - zero_b)*128 as int32 (`mul_832_execute`)."""
    a, b = call.inputs[:2]
    broadcast_shape(call.op, a, b)
    (a_low, a_high), (b_low, b_high) = input_ranges(call)
    step_a, zero_a = step_and_zero(F32(a_low), F32(a_high))
    step_b, zero_b = step_and_zero(F32(b_low), F32(b_high))
    high = F32(F32(step_a * step_b) * F32(1 << 24))
    left = a.astype(np.int32)
    left -= zero_a
    right = b.astype(np.int32)
    right -= zero_b
    right *= 128
    return [left * right, *as_range(F32(-high), high)]
