"""Softmax of uint8 tensors along depth (simulator/kernels/softmax.py)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hexconv.errors import GraphError
from hexconv.exact.arithmetic import (
    bit_length,
    codes,
    div255,
    exponent,
    fixed_range,
    int_power2,
    look_up,
    mul_frac,
    power2,
    round_int,
    sat16,
    shift_left,
    shift_right,
    shift_round,
    wrap16,
)
from hexconv.exact.functions import ExactCall, Form, exact, shared
from hexconv.exact.value import Scope, Value, maximum, minimum, table, where
from hexconv.simulator.kernels.softmax import LARGE_DEPTH, LARGE_SIZE, POW2
from hexconv.simulator.numerics.hvx import RECIP_V65, V65Polynomial

MOST_DEPTH = 65536


def poly_v65(x: Value, polynomial: V65Polynomial) -> Value:
    """A piecewise polynomial of uint16 x (vlut4, vmpa, vmps): one of four by the top two bits."""

    def field(constants: int) -> Value:
        fields = np.array([(constants >> (16 * i)) & 0xFFFF for i in range(4)], np.int64)
        return table(x.body, fields).gather(shift_right(x, 14) % 4)

    p = wrap16(field(polynomial.leading))
    for sign, constants in polynomial.rest:
        p = sat16(shift_right(p * x + field(constants) * (sign << 15), 16))
    return p


@shared
def recip16(d: Value) -> Value:
    """2^29 / d for d in 0x4000 .. 0x7fff (hvx_recip16_inline of hvx_mathops.h)."""
    if d.body.library != "v60":
        return _refined(d, sat16(poly_v65(d * 4 % 0x10000, RECIP_V65) * 2))
    d2 = wrap16(d * 2)
    p = sat16(mul_frac(d2, 10598) - 5306)
    x = sat16(mul_frac(d2, p) + 16569)
    return _refined(d, _refined(d, x))


def _refined(d: Value, x: Value) -> Value:
    """One Newton-Raphson step."""
    error = sat16(mul_frac(d, x) - (1 << 14))
    return sat16(x - mul_frac(sat16(error * 2), x))


@shared
def exponentials(low: Value, high: Value, beta: Value, kept_bits: Value) -> tuple[Value, Value]:
    """exp of 0..255 codes below the largest: 15 fraction bits, and 31 less the bits kept.

    `kept_bits` are those that a sum over the depth needs (set_scaling_parms).
    """
    scale = (high - low) * beta * (1.0 / (255.0 * 0.69314718055994))
    rsh = minimum(7 - exponent(scale), 31)
    multiplier = sat16(round_int(scale * power2(rsh + 8)))
    below = shift_right(codes(low.body) * 256 * multiplier, rsh)
    whole = minimum(shift_right(below, 16), 31)
    power = _pow2_fraction(below % 0x10000)
    exp32 = shift_right(power * int_power2(16 - kept_bits), whole)
    return sat16(shift_round(exp32, 16 - kept_bits)).flat(), exp32.flat()


def _pow2_fraction(fraction: Value) -> Value:
    """2**-x of 16 fraction bits, in 15 bits (hvx_pow2_func)."""
    from hexconv.simulator.numerics.hvx import POW2_V65

    body = fraction.body
    if body.library != "v60":
        return poly_v65(0xFFFF - fraction, POW2_V65)
    segment, x = fraction / 4096, fraction % 4096 / 2
    order0, order1, order2 = (table(body, row).gather(segment) for row in POW2)
    slope = sat16(order1 + mul_frac(order2, x))
    return sat16(order0 + mul_frac(slope, x))


def below_largest(data: Value) -> Value:
    """How far each code is below the largest of its row, int32."""
    wide = data.to("int32")
    return wide.reduce("Max", [3]) - wide


@exact("QuantizedSoftmax_8", "QuantizedSoftmax_8_d32")
def softmax(call: ExactCall) -> Form:
    """Along depth; the flat form has ways of its own for depths 1, 2 and at least 1408."""
    depth = call.shapes[0][3]
    size = int(np.prod(call.shapes[0]))
    reads = tuple(range(len(call.node.inputs)))
    more = (np.ones((1, 1, 1, 1), np.float32),) * (4 - len(reads))
    if call.node.op == "QuantizedSoftmax_8":
        if depth == 1:
            return Form(_alone, reads, suffix="_of_one", defaults=more)
        if depth == 2:
            return Form(_pairs, reads, suffix="_of_two", defaults=more)
        if depth >= LARGE_DEPTH and size >= LARGE_SIZE:
            if depth > MOST_DEPTH:
                raise GraphError(f"Softmax over more than {MOST_DEPTH} values is not supported")
            return Form(_large_depth, reads, suffix="_of_many", defaults=more)
    return Form(_rows(max(2, (depth - 1).bit_length())), reads, defaults=more)


def _rows(bits: int) -> Callable[..., list[Value]]:
    def build(body: Scope, data: Value, low: Value, high: Value, beta: Value) -> list[Value]:
        """exp by a table of 256, their sum, its reciprocal, scaled (op_softmax_d32.c)."""
        return _scaled_rows(data, low, high, beta, body.given(bits, "int64"))

    return build


def _scaled_rows(
    data: Value, low: Value, high: Value, beta: Value, kept_bits: Value
) -> list[Value]:
    body = data.body
    exp16, exp32 = exponentials(low, high, beta, kept_bits)
    below = below_largest(data)
    total = exp32.gather(below).sum([3])
    normalized = 31 - bit_length(total)
    mantissa = mul_frac(recip16(shift_right(shift_left(total, normalized), 16)), 255 << 7)
    shift = maximum(kept_bits + 3 - normalized, 0)
    # In double: both shifts cut, the second after a whole number.
    scaled = exp16.to("float64").gather(below) * mantissa.to("float64")
    cut = (scaled * (1.0 / int_power2(shift).to("float64"))).floor() * 2.0**-12
    held = minimum(cut.floor(), 32767.0)
    codes_ = ((held + 32.0) * 2.0**-6).clip(0.0, 255.0).to("uint8")
    return [codes_, *fixed_range(body, 0.0, 1.0)]


def _alone(body: Scope, data: Value, low: Value, high: Value, beta: Value) -> list[Value]:
    """Over a single value: always 255."""
    return [(data.to("int32") * 0 + 255).to("uint8"), *fixed_range(body, 0.0, 1.0)]


@shared
def exp_approx(x: Value) -> Value:
    """A cubic in float32, good for 11 bits (expf_approx)."""
    fixed = round_int_each(x * (16384.0 / 0.69314718056))
    part = (fixed % 0x4000).to("float32") * (1.0 / 16384.0)
    inner = part * 0.07154756 + 0.23793659
    middle = part * inner + 0.69051585
    return power2(shift_right(fixed, 14)) * (part * middle + 1.0)


def round_int_each(x: Value) -> Value:
    """`round_int` of an array of finite values."""
    half = where(x < 0, x.body.constant(-0.5, "float32"), 0.5)
    return (x + half).to("int64")


def _pairs(body: Scope, data: Value, low: Value, high: Value, beta: Value) -> list[Value]:
    """Over two values: a table over the difference; equal codes give 128 and 127."""
    k = div255(beta * (high - low))
    distance = body.constant(np.arange(256), "float32")
    values = round_int_each(255.0 / (exp_approx(-k.flat() * distance) + 1.0))
    values = where(distance.equal(0.0), 128, values)
    wide = data.to("int32")
    difference = wide.slice(0, 1, 3) - wide.slice(1, 2, 3)
    winner = look_up(values, difference.abs())
    first = where(difference < 0, 255 - winner, winner)
    pair = body.concat([first, 255 - first], 3)
    return [pair.to("uint8"), *fixed_range(body, 0.0, 1.0)]


@shared
def large_depth_tables(fullscale: Value) -> tuple[Value, Value]:
    """exp(step * (i - 255)), 15 bits, and 32 bits (fill_largedepth_lookup)."""
    body = fullscale.body
    step = div255(fullscale).flat()
    wide = step.to("float64")
    one_step = (body.op("Exp", wide) - 1.0).to("float32")
    two_steps = (body.op("Exp", wide * 2.0) - 1.0).to("float32")
    starts = body.constant(np.arange(0, 256, 4) - 255, "float32")
    y0 = body.op("Exp", (starts * step).to("float64")).to("float32")
    y1 = y0 + y0 * one_step
    columns = []
    for _ in range(4):
        columns.append(y0)
        y0, y1 = y1, y0 + y0 * two_steps
    every = body.concat([body.op("Unsqueeze", column, body.ints([1])) for column in columns], 1)
    every = every.reshape([256])
    last = body.constant(np.arange(256) == 255, "bool")
    exp16 = where(last, 0x7F80, round_int_each(every * float(255 * 128)))
    whole = (every * 4294967296.0 + 0.5).to("float64").clip(0.0, 2.0**33).to("int64")
    exp32 = where(last, 0xFFFFFFFF, where(every >= 1.0, 0xFFFFFFFF, whole))
    return exp16, exp32


def _large_depth(body: Scope, data: Value, low: Value, high: Value, beta: Value) -> list[Value]:
    """From a histogram of each row (softmax_larged_batchchunk)."""
    exp16, exp32 = large_depth_tables(beta * (high - low))
    below = below_largest(data)
    gathered = exp32.gather(255 - below)
    upper = shift_right(gathered, 16).sum([3])
    lower = (gathered % 0x10000).sum([3])
    total = upper + shift_right(lower, 16)
    shift = 32 - bit_length(total)
    mantissa = recip16(shift_right(shift_left(total, shift) % 2**32, 17))
    scale = sat16(shift_round(shift_left(mantissa, shift), 15))
    # Codes 192 and more below the largest fall off the library's table and give 0.
    scaled = where(below < 192, mul_frac(exp16.gather(255 - below), scale), 0)
    codes_ = shift_round(scaled, 7).clip(0, 255).to("uint8")
    return [codes_, *fixed_range(body, 0.0, 1.0)]
