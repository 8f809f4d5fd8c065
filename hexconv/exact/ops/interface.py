"""Float to uint8 and back (simulator/kernels/interface.py)."""

from __future__ import annotations

import numpy as np

from hexconv.exact.arithmetic import (
    bit_length,
    codes,
    div255,
    double_power2,
    exponent,
    exponent_field,
    int_power2,
    look_up,
    round_int,
    sat_u8,
    shift_right,
    to_codes,
)
from hexconv.exact.functions import ExactCall, Form, exact, shared
from hexconv.exact.ranges import zero_exact
from hexconv.exact.value import Scope, Value, larger, where
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP


@shared
def float_parts(x: Value) -> tuple[Value, Value]:
    """The exponent field of a float32, and its mantissa with the hidden bit, int64."""
    field = exponent_field(x)
    wide = x.abs().to("float64")
    normal = (wide * double_power2(150 - field)).to("int64")
    small = (wide * 2.0**149).to("int64") + 2**23
    return field, where(field.equal(0), small, normal)


@shared
def float_scale(low: Value, high: Value) -> tuple[Value, Value, Value, Value, Value]:
    """Range, power, offset and factor of code = (trunc(x * 2^power) + offset) * factor / 2^24.

    The range goes from 0 or below; it is widened until zero is exact (find_scaling_for_hvx_quant).
    """
    high = larger(low + 1e-18, high)
    moved = zero_exact(low, high)
    low, high = where(low < 0, moved[0], low), where(low < 0, moved[1], high)
    span_exponent, span_mantissa = float_parts((high - low) * 1.003921569)
    common = span_exponent + 4
    low_exponent, low_mantissa = float_parts(low)
    behind = common - low_exponent
    offset = where(behind < 24, shift_right(low_mantissa, behind), 0)
    span_mantissa = span_mantissa / 16
    factor = span_mantissa.body.constant(0xFFFFFFFF, "int64") / span_mantissa % 0x10000
    return low, high, 150 - common, offset + span_mantissa / 512, factor


def quantized(x: Value, low: Value, high: Value) -> list[Value]:
    """float32 to uint8 in the (widened) range; values are cut to about 20 bits first."""
    low, high, power, offset, factor = float_scale(low, high)
    cut = (x.to("float64") * double_power2(power)).to("int64") + offset
    return [to_codes(cut.to("float64") * (factor.to("float64") * 2.0**-24)), low, high]


def found(x: Value) -> list[Value]:
    """float32 to uint8 in the range of the data and zero (autoquantize_work)."""
    body = x.body
    low, high = x.reduce("Min"), x.reduce("Max")
    # The library keeps the minimum negated from +0 on, so that an empty side gives -0.
    negative_zero = body.constant(np.full((1, 1, 1, 1), -0.0), "float32")
    nothing = body.constant(np.zeros((1, 1, 1, 1)), "float32")
    return quantized(x, where(low < 0, low, negative_zero), where(high > 0, high, nothing))


@exact(INPUT_OP)
def quantize_input(call: ExactCall) -> Form:
    """An input of the graph."""

    def build(body: Scope, x: Value) -> list[Value]:
        """One input, float32, quantized over what it holds, as MACE's runtime does.

        uint8 codes, min, max. Source: op_quantize.c, asm_src/autoquantize_h.S.
        """
        return found(x)

    return Form(build, (0,))


@exact("AutoQuantize")
def auto_quantize(call: ExactCall) -> Form:
    """In the range of the data."""

    def build(body: Scope, x: Value) -> list[Value]:
        """float32 to uint8 in the range of the data (op_quantize.c)."""
        return found(x)

    return Form(build, (0,))


@exact("Quantize")
def quantize(call: ExactCall) -> Form:
    """In a range that is asked for."""

    def build(body: Scope, x: Value, low: Value, high: Value) -> list[Value]:
        """float32 to uint8 in a requested range (quantize_execute_opt)."""
        return quantized(x, low, high)

    return Form(build, (0, 1, 2))


@shared
def exact_steps(zero: Value, step: Value) -> Value:
    """(code - zero)*step of all 256 codes, float32, halves rounded away from zero.

    The library builds the floats from integer products (hvx_do_dequantize).
    """
    distance = (codes(zero.body) - zero).flat()
    power = exponent(step)
    mantissa = (step.to("float64") * double_power2(24 - power)).to("int64")
    product = distance.abs() * mantissa.flat()
    up = 32 - bit_length(product)
    rounded = (product * int_power2(up) + 0x80) / 256
    size = rounded.to("float64") * double_power2(power.flat() - up - 16)
    signed = where(distance < 0, -size, size).to("float32")
    return where(distance.equal(0), 0.0, signed)


@shared
def float_table(low: Value, high: Value) -> Value:
    """The float32 value of every code of a range (dequantize_execute)."""
    step = div255(larger(1e-18, high - low))
    table = exact_steps(sat_u8(round_int(-low / step)), step)
    return where((step < 2.0**-126).flat(), 0.0, table)


@exact("Dequantize")
def dequantize(call: ExactCall) -> Form:
    """uint8 codes to float32."""

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """uint8 codes to float32 (dequantize_execute)."""
        return [look_up(float_table(low, high), data)]

    return Form(build, (0, 1, 2))


@exact(OUTPUT_OP)
def dequantize_output(call: ExactCall) -> Form:
    """An output of the graph."""

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """One output of the graph, float32."""
        return [look_up(float_table(low, high), data)]

    return Form(build, (0, 1, 2))
