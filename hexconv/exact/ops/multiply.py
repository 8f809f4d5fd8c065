"""Products of two uint8 tensors (simulator/kernels/multiply.py)."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from hexconv.errors import GraphError
from hexconv.exact.arithmetic import (
    div255,
    double_power2,
    exponent,
    int_power2,
    ldexp,
    power2,
    round_int,
    sat16,
    scalar4,
    scaled_copy,
    shift_left,
    shift_right,
    step_and_zero,
    to_codes,
    wrap16,
)
from hexconv.exact.functions import ExactCall, Form, exact, shared
from hexconv.exact.ops.elementwise import (
    Pair,
    ends,
    first_range,
    grown_range,
    opened,
    select,
    stretched,
)
from hexconv.exact.ops.gain import SUFFIX
from hexconv.exact.ranges import (
    BOTH_FIXED,
    MAX_FIXED,
    MIN_FIXED,
    zero_exact,
    zero_exact_fixed,
)
from hexconv.exact.value import Scope, Value, larger, maximum, minimum, smaller, where


class ProductScaling(NamedTuple):
    """p = product - bias; ((p*scale + 2^14 >> 15) + offset) >> shift, saturated."""

    low: Value
    high: Value
    scale: Value
    offset: Value
    shift: Value


class Product(NamedTuple):
    """Zero codes, what a product of codes is worth, and the bias that moves them into int16."""

    zero_a: Value
    zero_b: Value
    unit: Value
    bias: Value

    def scaling(self, low: Value, high: Value) -> ProductScaling:
        """Integer factors for one output range (set_mul_scaling_for_output_range)."""
        out_scale = 255.0 / (high - low)
        factor = out_scale * self.unit
        shift = minimum(-exponent(factor), 7)
        unit = power2(shift)
        scale = sat16(round_int(factor * unit * 32768.0))
        offset = shift_right(self.bias * scale + 16384, 15) + round_int(-low * out_scale * unit)
        return ProductScaling(low, high, scale, wrap16(offset), shift)

    def of(self, pair: Pair) -> Value:
        """(a - zero_a)*(b - zero_b) - bias, float64."""
        a = pair.a.to("float64") - self.zero_a.to("float64")
        b = pair.b.to("float64") - self.zero_b.to("float64")
        return a * b - self.bias.to("float64")


def product_of(pair: Pair) -> Product:
    """What follows from the input ranges alone (mul_setup_scaling)."""
    step_a, zero_a = step_and_zero(pair.a_min, pair.a_max)
    step_b, zero_b = step_and_zero(pair.b_min, pair.b_max)
    bias = shift_right((zero_a * 2 - 255) * (zero_b * 2 - 255) + 256, 9) * 256
    return Product(zero_a, zero_b, step_a * step_b, wrap16(bias))


def multiplied(pair: Pair, product: Product, scaling: ProductScaling) -> Value:
    """The product as codes; every step is exact in double."""
    down = double_power2(-scaling.shift)
    half = (int_power2(scaling.shift) - int_power2(scaling.shift) % 2) / 2
    p = product.of(pair) * (scaling.scale.to("float64") * 2.0**-15) + 0.5
    return to_codes((p.floor() + (scaling.offset + half).to("float64")) * down)


@exact("QuantizedMul_8x8to8_d32")
def mul(call: ExactCall) -> Form:
    """Product, one operand may stretch."""
    fixed, missing = ends(call)
    swaps = stretched(call)
    single = fixed == 0 and 1 in map(prod, call.shapes[:2])

    def build(body: Scope, *given: Value) -> list[Value]:
        """Products of codes less their zeros, moved into int16, scaled and shifted down.

        Source: op_add_d32.c.
        """
        pair = Pair(*given).swapped() if swaps else Pair(*given)
        if single:
            return _single_product(pair)
        pair, product = opened(pair, fixed), product_of(pair)
        if fixed == BOTH_FIXED:
            low, high = zero_exact_fixed(pair.out_min, pair.out_max, BOTH_FIXED)
            scaling = product.scaling(low, high)
        else:
            scaling = _found_product(pair, product, fixed)
        return [multiplied(pair, product, scaling), scaling.low, scaling.high]

    suffix = ("_stretches_a" if swaps else "") + ("_one_value" if single else "")
    reads = tuple(range(8 - len(missing)))
    return Form(build, reads, suffix=suffix + SUFFIX[fixed], defaults=missing)


def _found_product(pair: Pair, product: Product, fixed: int) -> ProductScaling:
    """The scaling after one look at the data (check_mul_need_rerun)."""
    a_low, a_high, b_low, b_high = pair.a_min, pair.a_max, pair.b_min, pair.b_max
    most = larger(a_high * b_high, a_low * b_low)
    least = smaller(a_high * b_low, a_low * b_high)
    guess = product.scaling(*first_range(least, most, pair, fixed))
    values = product.of(pair)
    least_p = minimum(values.reduce("Min").to("int64"), -product.bias)
    most_p = maximum(values.reduce("Max").to("int64"), -product.bias)

    def code(value: Value) -> Value:
        scaled = shift_right(value * guess.scale + 16384, 15) + guess.offset
        rounded = shift_right(shift_right(scaled, maximum(guess.shift - 1, 0)) + 1, 1)
        return where(guess.shift > 0, rounded, scaled)

    below = None if fixed & MIN_FIXED else code(least_p) < 0
    above = None if fixed & MAX_FIXED else code(most_p) > 255
    actual = tuple(
        (value + product.bias).to("float32") * product.unit for value in (least_p, most_p)
    )
    low, high, changed = grown_range(
        pair, fixed, (guess.low, guess.high), (actual[0], actual[1]), below, above
    )
    wider = product.scaling(low, high)
    return ProductScaling(*select(changed, wider, guess))


def _single_product(pair: Pair) -> list[Value]:
    """Every element times one value, the range left open: the codes stay, or mirror."""
    step_b, zero_b = step_and_zero(pair.b_min, pair.b_max)
    value = (scalar4(pair.b).to("int64") - zero_b).to("float32") * step_b
    low, high = pair.a_min * value, pair.a_max * value
    up, flat = value > 0, value.equal(0.0)
    scale = where(
        up,
        value.body.constant(32767, "int64"),
        where(flat, value.body.constant(0, "int64"), -32768),
    )
    offset = where(up | flat, value.body.constant(0, "int64"), 255 * 128)
    half = scalar4(value.body.constant(0.5, "float32"))
    out_low = where(up | flat, low, high)
    out_high = where(up, high, where(flat, half, low))
    return [scaled_copy(pair.a, scale, offset), out_low, out_high]


@exact("QuantizedMul_8x8to8")
def mul_flat(call: ExactCall) -> Form:
    """Product where both operands stretch; the range comes from the data."""
    if len(call.node.inputs) > 6:
        raise GraphError("QuantizedMul_8x8to8 with an output range cannot stretch both operands")
    counts = [prod(shape) for shape in call.shapes[:2]]
    if 1 in counts:
        return _flat_single(swapped=counts[1] != 1)

    def build(body: Scope, a: Value, b: Value, *given: Value) -> list[Value]:
        """Products onto the range that they fill (mul_8x8to8_execute, op_mul.c)."""
        step_a, zero_a = step_and_zero(*given[:2])
        step_b, zero_b = step_and_zero(*given[2:])
        products = (a.to("int64") - zero_a) * (b.to("int64") - zero_b)
        least, most = (
            products.reduce("Min").clip(-(2**31), 0),
            products.reduce("Max").clip(0, 2**31),
        )
        most = where(least.equal(most), most + 4, most)
        scale, offset, shift, low, high = flat_plan(step_a * step_b, least, most)
        scaled = shift_right((products - least) * scale + offset, shift) % 0x10000
        return [scaled.clip(0, 255).to("uint8"), low, high]

    return Form(build, tuple(range(6)))


@shared
def flat_plan(unit: Value, least: Value, most: Value) -> tuple[Value, ...]:
    """Scale, offset and shift for products of least..most, and the output range."""
    low, high = zero_exact(least.to("float32") * unit, most.to("float32") * unit)
    step = div255(high - low)
    zero = round_int(-low / step).clip(0, 255)
    fine = unit * (1.0 / 16.0)
    coarse = fine < step
    factor = where(coarse, unit / step, 16.0)
    low = where(coarse, low, (-zero).to("float32") * fine)
    high = where(coarse, high, (255 - zero).to("float32") * fine)
    shift = minimum(14 - exponent(factor), 23)
    scale = round_int(ldexp(factor, shift))
    offset = shift_left(zero * 2 + 1, shift - 1) + least * scale
    return scale, offset, shift, low, high


def _flat_single(*, swapped: bool) -> Form:
    def build(body: Scope, a: Value, b: Value, *given: Value) -> list[Value]:
        """Every element times one value: the codes stay, or mirror, or are all zero."""
        full, single, ranges = (b, a, (*given[2:], *given[:2])) if swapped else (a, b, given)
        step, zero = step_and_zero(*ranges[2:])
        code = scalar4(single).to("int64") - zero
        value = code.to("float32") * step
        low, high = ranges[0] * value, ranges[1] * value
        flat, up = code.equal(0), code > 0
        wide = full.to("int32")
        data = where(flat, wide * 0, where(up, wide, 255 - wide)).to("uint8")
        nothing, one = (scalar4(body.constant(end, "float32")) for end in (0.0, 1.0))
        out_low = where(flat, nothing, where(up, low, high))
        return [data, out_low, where(flat, one, where(up, high, low))]

    return Form(build, tuple(range(6)), suffix="_one_value" + ("_a" if swapped else ""))
