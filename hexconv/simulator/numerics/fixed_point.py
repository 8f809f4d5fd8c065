"""float32 and fixed-point arithmetic as in the library's C code and HVX instructions.

Every function names the one of nnlib's `hexagon/include/quantize.h` or `hexagon/src/quantize.c`
that it follows. Scalars are `numpy.float32` throughout: the order of the operations, and the
rounding after each of them, decide the quantized result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.layout import Shape4

P = ParamSpec("P")
R = TypeVar("R")

F32 = np.float32
ZERO, ONE, HALF = F32(0.0), F32(1.0), F32(0.5)
_NEAR_CODE = F32(6.1035156e-05)  # 2^-14: a zero point this close to an integer is not moved
_NEAR_NEXT = F32(0.999938965)
_INT_LIMIT = 2147483648.0


def derived(function: Callable[P, R]) -> Callable[P, R]:
    """A pure function of ranges, cached: most nodes use the same ranges in every run.

    float32 overflow and division by zero are silent, as on the DSP.
    """
    remembered = lru_cache(maxsize=2048)(np.errstate(all="ignore")(function))
    return cast("Callable[P, R]", remembered)


def as_range(low: float | F32, high: float | F32) -> list[Array]:
    """The min and max outputs of a node: two 1x1x1x1 float32."""
    return [np.array(low, F32, ndmin=4), np.array(high, F32, ndmin=4)]


def require_finite(op: str, low: float | F32, high: float | F32) -> None:
    """Raise for a requested range of -inf..inf, which the library would return unchanged."""
    if not (np.isfinite(low) and np.isfinite(high)):
        raise GraphError(
            f"{op} has the requested output range {low}..{high}",
            why="the library returns an infinite range and the values are meaningless",
            hint="give the node a finite range",
        )


def broadcast_shape(op: str, a: Array, b: Array) -> Shape4:
    """The common shape of two operands that broadcast along sizes of one."""
    try:
        shape: Shape4 = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise GraphError(f"{op} cannot combine shapes {a.shape} and {b.shape}") from None
    return shape


def one_sided_broadcast(op: str, a: Array, b: Array) -> bool:
    """Whether `a` is the one that is broadcast; both at once is an error.

    nnlib `check_compatible_elementwise_d32` (shape_util.c).
    """
    if a.shape == b.shape:
        return False
    shape = broadcast_shape(op, a, b)
    if shape not in (a.shape, b.shape):
        raise GraphError(
            f"{op} cannot combine shapes {a.shape} and {b.shape}",
            why="each operand would have to be broadcast in another direction",
            hint="tile one operand to the full shape first",
        )
    return a.shape != shape


# ---- float32 scalars


def fma(a: F32, b: F32, c: F32) -> F32:
    """a*b + c with one rounding; exact in double for the operands used here."""
    rounded: F32 = F32(float(a) * float(b) + float(c))
    return rounded


def div255(x: F32) -> F32:
    """x/255 as `flt_div_255`: two constants that add up to 1/255, and one fused multiply-add."""
    tail = F32(F32(float.fromhex("-0xF.EFEFFp-36")) * x)
    return fma(x, F32(float.fromhex("0x8.08081p-11")), tail)


def to_int(x: F32) -> int:
    """A float truncated to int32, saturating like `convert_sf2w:chop`; NaN gives -1."""
    value = float(x)
    if value != value:
        return -1
    return int(max(-_INT_LIMIT, min(_INT_LIMIT - 1, value)))


def round_int(x: F32) -> int:
    """Nearest int32, halves away from zero, by adding a half in float32 (`roundf_i32`)."""
    return to_int(F32(x + np.copysign(HALF, x)))


def round_uint(x: F32) -> int:
    """Nearest uint32; negative values give 0 (`roundf_u32`)."""
    return min(max(int(float(F32(x + HALF))), 0), 0xFFFFFFFF)


def exponent(x: F32) -> int:
    """The exponent that frexp gives; 129 for inf and NaN, -126 for zero (`flt_getexp`)."""
    return ((int(F32(x).view(np.int32)) >> 23) & 0xFF) - 126


def fraction(x: F32) -> F32:
    """The mantissa, 0.5 <= |m| < 1 (`flt_getfrac`)."""
    bits = (int(F32(x).view(np.uint32)) & 0x807FFFFF) | (126 << 23)
    mantissa: F32 = np.uint32(bits).view(F32)
    return mantissa


def power2(n: int) -> F32:
    """2**n, the exponent field clamped to 0..255 (`flt_power2`)."""
    power: F32 = np.uint32(min(max(n + 127, 0), 255) << 23).view(F32)
    return power


def ldexp(x: F32, n: int) -> F32:
    """x * 2**n in float32 (`flt_ldexp`)."""
    scaled: F32 = x * power2(n)
    return scaled


def clamp(value: int, low: int, high: int) -> int:
    """An integer clamped to low..high."""
    return min(max(value, low), high)


def sat_u8(value: int) -> int:
    """An integer clamped to 0..255."""
    return clamp(value, 0, 255)


def sat_u16(value: int) -> int:
    """An integer clamped to 0..65535."""
    return clamp(value, 0, 65535)


def sat_i16(value: int) -> int:
    """An integer clamped to -32768..32767."""
    return clamp(value, -32768, 32767)


def wrap_i16(value: int) -> int:
    """The low 16 bits of an integer, as a signed number."""
    return ((value + 0x8000) & 0xFFFF) - 0x8000


# ---- ranges and zero points


def step_and_zero(low: F32, high: F32) -> tuple[F32, int]:
    """Scale and zero point of a uint8 range (`get_qu8_level_size_zero`)."""
    step = div255(F32(high - low))
    return step, sat_u8(round_int(F32(-low / step)))


def quantize_code(value: F32, low: F32, high: F32) -> int:
    """One value quantized to uint8, saturated (`quantize_uint8`)."""
    scale = F32(F32(255.0) / max(F32(1e-18), F32(high - low)))
    return sat_u8(round_int(F32(F32(value - low) * scale)))


def quantize_codes(values: Array, low: F32, high: F32) -> Array:
    """float32 values quantized to uint8, saturated (`quantize_uint8`)."""
    scale = F32(F32(255.0) / max(F32(1e-18), F32(high - low)))
    scaled = (values - low) * scale
    codes: Array = np.clip(np.trunc(scaled + np.copysign(HALF, scaled)), 0, 255).astype(np.uint8)
    return codes


def adjust_range(low: F32, high: F32) -> tuple[F32, F32, F32, F32]:
    """A range widened to contain zero, then at one end until the zero point is an integer.

    `quantize_adjust_range`. Returns min, max, step and 1/step.
    """
    low, high = min(ZERO, low), max(ZERO, high)
    value_range = max(F32(1e-18), F32(high - low))
    scale = F32(F32(255.0) / value_range)
    if low < 0:
        zero = F32(-low * scale)
        whole = np.floor(zero)
        part = F32(zero - whole)
        if _NEAR_CODE < part < _NEAR_NEXT:
            if whole > 0 and (whole > 253 or F32((part - ONE) * low) >= F32(part * high)):
                value_range = F32(F32(F32(-255.0) * low) / whole)
                high = F32(low + value_range)
            else:
                low = F32(F32(high * F32(whole + ONE)) / F32(whole - F32(254.0)))
                value_range = F32(high - low)
            scale = F32(F32(255.0) / value_range)
    return low, high, div255(value_range), scale


def zero_exact(low: F32, high: F32) -> tuple[F32, F32]:
    """The range with one end moved outward until the zero point is an integer.

    `adjust_minmax_for_zero`; a range below 1e-6 wide is left as it is.
    """
    value_range = F32(high - low)
    if not value_range >= F32(1e-6) or low == 0:
        return low, high
    zero = F32(F32(F32(-255.0) * low) / value_range)
    whole = np.floor(zero)
    part = F32(zero - whole)
    if part <= _NEAR_CODE or part >= _NEAR_NEXT:
        return low, high
    if whole > 0 and (whole > 253 or F32((part - ONE) * low) >= F32(part * high)):
        return low, F32(low - F32(F32(F32(255.0) * low) / whole))
    return F32(F32(high * F32(whole + ONE)) / F32(whole - F32(254.0))), high


def zero_exact_u16(low: F32, high: F32) -> tuple[F32, F32]:
    """`zero_exact` for 65536 levels (`adjust_minmax_for_zero_16b`)."""
    value_range = F32(high - low)
    if not value_range >= F32(1e-6) or low == 0:
        return low, high
    zero = F32(F32(F32(-65536.0) * low) / value_range)
    whole = np.floor(zero)
    part = F32(zero - whole)
    if (part <= F32(0.015625) or part >= F32(0.984375)) and F32(-0.02) <= zero <= F32(65535.02):
        return low, high
    if whole > 0 and (whole > 65534 or F32((part - ONE) * low) >= F32(part * high)):
        whole = min(whole, F32(65535.0))
        return low, F32(low - F32(F32(F32(65536.0) * low) / whole))
    whole = max(F32(whole + ONE), ONE)
    return F32(F32(high * whole) / F32(whole - F32(65536.0))), high


MIN_FIXED, MAX_FIXED = 1, 2


def zero_exact_fixed(low: F32, high: F32, fixed: int) -> tuple[F32, F32]:
    """`zero_exact` where some ends are fixed: a sum of MIN_FIXED and MAX_FIXED.

    With both fixed, both ends move by the same amount, or the one next to zero where the range is
    lopsided 3:1 (`adjust_minmax_for_zero_with_constraints`).
    """
    value_range = F32(high - low)
    if not value_range > 0 or low == 0:
        return low, high
    zero = F32(F32(F32(-255.0) * low) / value_range)
    whole = np.floor(zero)
    part = F32(zero - whole)
    if part <= _NEAR_CODE or part >= _NEAR_NEXT:
        return low, high
    cost_max, cost_min = F32(F32(part - ONE) * low), F32(part * high)
    nearest = F32(whole + ONE) if part >= HALF else whole
    if fixed == 0:
        move_max = whole >= 1 and (whole >= 254 or cost_max >= cost_min)
        target = whole if move_max else F32(whole + ONE)
    elif fixed == MIN_FIXED:
        move_max = whole >= 1 and (zero >= F32(192.25) or F32(cost_max * F32(8.0)) > cost_min)
        target = whole if move_max else nearest
    elif fixed == MAX_FIXED:
        move_max = zero >= F32(63.75) and (whole >= 254 or cost_max > F32(cost_min * F32(8.0)))
        target = nearest if move_max else F32(whole + ONE)
    else:
        if F32(63.75) < zero < F32(192.25):
            shift = F32(F32(F32(zero - nearest) * value_range) * F32(1.0 / 255.0))
            return F32(low + shift), F32(high + shift)
        move_max, target = bool(zero >= F32(192.25)), nearest
    if move_max:
        return low, F32(low - F32(F32(F32(255.0) * low) / target))
    return F32(F32(high * target) / F32(target - F32(255.0))), high


# ---- arrays


def round_shift(x: Array, bits: int) -> Array:
    """x >> bits with halves rounded up (`vasr:rnd`); no rounding at 0 bits. New array."""
    if bits == 0:
        return x
    out: Array = (x + (1 << (bits - 1))) >> bits
    return out


def frac_mul(x: Array, factor: int) -> Array:
    """(x*factor + 2^30) >> 31 in int64, for int32 x and factor.

    `q6op_Vw_vmpy_VwVw_s1_rnd_sat`; only -2^31 times -2^31 could saturate.
    """
    product: Array = np.multiply(x, factor, dtype=np.int64)
    product += 1 << 30
    product >>= 31
    return product


_LIMITS = {np.uint8: (0, 255), np.uint16: (0, 65535), np.int16: (-32768, 32767)}
_FEW = 4096


def clip_to(x: Array, dtype: Any) -> Array:
    """Numbers saturated to `dtype`; works in place on its argument."""
    least, most = _LIMITS[dtype]
    if x.size < _FEW:  # two plain calls cost less than np.clip's own work on a few elements
        np.minimum(np.maximum(x, least, out=x), most, out=x)
    else:
        np.clip(x, least, most, out=x)
    return x.astype(dtype)


def to_codes(x: Array) -> Array:
    """Numbers saturated to uint8; works in place on its argument."""
    return clip_to(x, np.uint8)
