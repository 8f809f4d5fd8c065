"""float32 and fixed-point arithmetic as `simulator/numerics` has it, in ONNX ops."""

from __future__ import annotations

import numpy as np

from hexconv.exact.functions import shared
from hexconv.exact.value import Scope, Value, larger, where

POWERS = np.array([2.0**k for k in range(-126, 128)] + [np.inf], np.float32)
"""2**-126 .. 2**128: how many of them a float reaches is its exponent field."""
_FLOAT_POWERS = np.array([0.0] + [2.0**k for k in range(-126, 128)] + [np.inf], np.float32)
_DOUBLE_POWERS = np.array([2.0**k for k in range(-320, 321)])
_INT_POWERS = np.array([1 << k for k in range(63)], np.int64)


def fma(a: Value, b: float | Value, c: Value) -> Value:
    """a*b + c in float32 with one rounding."""
    wide = b.to("float64") if isinstance(b, Value) else b
    return (a.to("float64") * wide + c.to("float64")).to("float32")


@shared
def div255(x: Value) -> Value:
    """x/255 by two constants that add up to 1/255, and one fused multiply-add (flt_div_255)."""
    tail = x * float.fromhex("-0xF.EFEFFp-36")
    return fma(x, float.fromhex("0x8.08081p-11"), tail)


def reciprocal(x: Value) -> Value:
    """1/x in float32, written as 2/(2x): ONNX Runtime makes y * (1/x) a division, y/x."""
    return 2.0 / (x * 2.0)


@shared
def to_int(x: Value) -> Value:
    """A float cut to int32, saturating; NaN gives -1 (convert_sf2w:chop)."""
    held = x.to("float64").clip(-2147483648.0, 2147483647.0).to("int64")
    return where(x.body.op("IsNaN", x, dtype="bool"), -1, held)


@shared
def round_int(x: Value) -> Value:
    """The nearest int32, halves away from zero, by adding a half in float32 (roundf_i32)."""
    return to_int(x + where(x < 0, x.body.constant(-0.5, "float32"), 0.5))


@shared
def round_uint(x: Value) -> Value:
    """The nearest uint32; what is negative gives 0 (roundf_u32)."""
    return (x + 0.5).to("float64").clip(0.0, 4294967295.0).to("int64")


@shared
def exponent_field(x: Value) -> Value:
    """The 8 bits of a float32's exponent; 0 for NaN."""
    reached = x.abs().reshape([1, 1, 1, 1]) >= x.body.constant(POWERS, "float32")
    return reached.to("int64").sum([3])


@shared
def exponent(x: Value) -> Value:
    """The exponent that frexp gives; 129 for infinity and NaN, -126 for zero (flt_getexp)."""
    field = exponent_field(x)
    return where(x.body.op("IsNaN", x, dtype="bool"), 255, field) - 126


@shared
def power2(n: Value) -> Value:
    """2**n in float32, the exponent field held in 0..255 (flt_power2)."""
    return n.body.constant(_FLOAT_POWERS, "float32").gather((n + 127).clip(0, 255))


def ldexp(x: Value, n: Value) -> Value:
    """x * 2**n in float32 (flt_ldexp)."""
    return x * power2(n)


@shared
def double_power2(n: Value) -> Value:
    """2**n in float64, for n in -320..320."""
    return n.body.constant(_DOUBLE_POWERS, "float64").gather((n + 320).clip(0, 640))


@shared
def int_power2(n: Value) -> Value:
    """2**n in int64, for n in 0..62."""
    return n.body.constant(_INT_POWERS, "int64").gather(n.clip(0, 62))


@shared
def fraction(x: Value) -> Value:
    """The mantissa, 0.5 <= |m| < 1 (flt_getfrac)."""
    return (x.to("float64") * double_power2(-exponent(x))).to("float32")


def sat_u8(x: Value) -> Value:
    """Held in 0..255."""
    return x.clip(0, 255)


def sat16(x: Value) -> Value:
    """Held in int16."""
    return x.clip(-32768, 32767)


def sat32(x: Value) -> Value:
    """Held in int32."""
    return x.clip(-(2**31), 2**31 - 1)


def wrap16(x: Value) -> Value:
    """The low 16 bits as a signed number."""
    return (x + 0x8000) % 0x10000 - 0x8000


def wrap32(x: Value) -> Value:
    """The low 32 bits as a signed number."""
    return (x + 2**31) % 2**32 - 2**31


def shift_right(x: Value, bits: int | Value) -> Value:
    """x >> bits of int64: the quotient towards minus infinity."""
    by = int_power2(bits) if isinstance(bits, Value) else x.body.constant(1 << bits, "int64")
    return (x - x % by) / by


def shift_left(x: Value, bits: int | Value) -> Value:
    """x << bits of int64."""
    return x * (int_power2(bits) if isinstance(bits, Value) else 1 << bits)


def shift_round(x: Value, bits: int | Value) -> Value:
    """x >> bits, halves upward."""
    if isinstance(bits, Value):
        by = int_power2(bits)
        half = (by - by % 2) / 2
        return shift_right(x + half, bits)
    return shift_right(x + ((1 << bits) >> 1), bits)


def mul_frac(a: Value, b: int | Value) -> Value:
    """int16 fractions with 15 bits multiplied, rounded, saturated."""
    return sat16(shift_right(a * b * 2 + 0x8000, 16))


def mul_frac32(a: Value, b: int | Value) -> Value:
    """An int32 by an int16 fraction with 15 bits."""
    return sat32(shift_right(a * b + 0x4000, 15))


def frac_mul(x: Value, factor: int | Value) -> Value:
    """(x*factor + 2^30) >> 31."""
    return shift_right(x * factor + 2**30, 31)


def bit_length(x: Value, bits: int = 32) -> Value:
    """How many bits whole numbers from 0 on need; one more axis is used in between."""
    wide = x.body.op("Unsqueeze", x, x.body.ints([-1]))
    reached = wide >= x.body.constant(_INT_POWERS[:bits], "int64")
    counted = reached.to("int64").sum([-1])
    return x.body.op("Squeeze", counted, x.body.ints([-1]))


@shared
def step_and_zero(low: Value, high: Value) -> tuple[Value, Value]:
    """Step (float32) and zero code (int64) of a uint8 range (get_qu8_level_size_zero)."""
    step = div255(high - low)
    return step, sat_u8(round_int(-low / step))


@shared
def quantize_code(value: Value, low: Value, high: Value) -> Value:
    """The code of one value, saturated, int64 (quantize_uint8)."""
    scale = 255.0 / larger(1e-18, high - low)
    return sat_u8(round_int((value - low) * scale))


def zero_code(low: Value, high: Value) -> Value:
    """The code of zero, as `quantize_code` finds it."""
    return quantize_code(low.body.constant(0.0, "float32"), low, high)


@shared
def quantize_codes(values: Value, low: Value, high: Value) -> Value:
    """The codes of float32 values, saturated, uint8 (quantize_uint8)."""
    scaled = (values - low) * (255.0 / larger(1e-18, high - low))
    half = where(scaled < 0, values.body.constant(-0.5, "float32"), 0.5)
    return (scaled + half).clip(0.0, 255.0).to("uint8")


def codes(body: Scope) -> Value:
    """0 .. 255, int64."""
    return body.constant(np.arange(256), "int64")


def to_codes(x: Value) -> Value:
    """Numbers held in 0..255, floats cut, as uint8."""
    return x.clip(0, 255).to("uint8")


def look_up(values: Value, index: Value) -> Value:
    """values[index] of a table of 256, of any shape."""
    return values.flat().gather(index.to("int32"))


def scalar4(x: Value) -> Value:
    """As 1x1x1x1, which every range is."""
    return x.reshape([1, 1, 1, 1])


def fixed_range(body: Scope, low: float, high: float) -> list[Value]:
    """The same range whatever the data."""
    return [body.constant(np.full((1, 1, 1, 1), end), "float32") for end in (low, high)]


@shared
def scaled_table(scale: Value, offset: Value) -> Value:
    """The 256 results of ((code*scale >> 8) + offset + 64) >> 7 (tensor_copy_scaled_d32).

    Scales next to +-32768 with the matching offset are exactly a copy, or the ones' complement.
    """
    code = codes(scale.body)
    moved = sat16(shift_right(code * scale, 8) + offset)
    plain = shift_right(moved + 64, 7).clip(0, 255)
    copies = (offset.equal(0)) & (scale >= 32704) & (scale <= 32767)
    mirrors = (offset.equal(32640)) & (scale >= -32768) & (scale <= -32705)
    return where(copies, code, where(mirrors, 255 - code, plain)).to("uint8")


def scaled_copy(data: Value, scale: Value, offset: Value) -> Value:
    """Every code through `scaled_table`."""
    return look_up(scaled_table(scale, offset), data)
