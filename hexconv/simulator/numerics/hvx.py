"""The HVX and scalar instructions that nnlib's fixed-point code uses, on int64 arrays.

Named after what they do; the intrinsic is named in each docstring. Values are held in int64, so an
intermediate that the hardware keeps in 32 bits is only wrapped where an overflow can happen.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.int64]


def table(values: Any) -> Int:
    """A constant as an int64 array."""
    return np.asarray(values, dtype=np.int64)


def numbers(text: str) -> Int:
    """A table written as integers between spaces."""
    return np.array(text.split(), dtype=np.int64)


def sat16(x: Int) -> Int:
    """Saturate to int16."""
    return np.clip(x, -32768, 32767)


def satu8(x: Int) -> npt.NDArray[np.uint8]:
    """Saturate to uint8."""
    return np.clip(x, 0, 255).astype(np.uint8)


def sat32(x: Int) -> Int:
    """Saturate to int32."""
    return np.clip(x, -(2**31), 2**31 - 1)


def wrap16(x: Int) -> Int:
    """The low 16 bits as a signed number."""
    return ((x + 0x8000) & 0xFFFF) - 0x8000


def wrap32(x: Int) -> Int:
    """The low 32 bits as a signed number."""
    return ((x + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def mul_frac(a: Int, b: Int | int) -> Int:
    """`Q6_Vh_vmpy_VhVh_s1_rnd_sat`: int16 fractions with 15 bits, rounded, saturated."""
    return sat16((a * b * 2 + 0x8000) >> 16)


def mul_frac32(a: Int, b: Int | int) -> Int:
    """`Q6_Vw_vmpyo_VwVh_s1_rnd_sat`: an int32 by an int16 fraction with 15 bits."""
    return sat32((a * b + 0x4000) >> 15)


def shift_round(x: Int, bits: int | Int) -> Int:
    """`vasr ... :rnd` before its saturation: arithmetic right shift, half away upward."""
    return (x + ((1 << np.asarray(bits, dtype=np.int64)) >> 1)) >> bits


def count_leading_zeros32(x: Int) -> Int:
    """`Q6_Vuw_vcl0_Vuw` of values 0 .. 2**32-1."""
    return 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)


def norm_amount32(x: Int) -> Int:
    """`Q6_Vw_vnormamt_Vw` of positive int32 values: the left shift that fills bit 30."""
    return count_leading_zeros32(x) - 1


def _by_segment(x: Int, constants: int) -> Int:
    """One of four uint16 fields of a 64-bit constant, picked by the top two bits of uint16 x."""
    fields = table([(constants >> (16 * i)) & 0xFFFF for i in range(4)])
    picked: Int = fields[(x >> 14) & 3]
    return picked


class V65Polynomial(NamedTuple):
    """A piecewise polynomial of uint16 x, four pieces; four uint16 coefficients make one number.

    Args:
        leading: four int16 leading coefficients.
        rest: (sign, four uint16 coefficients) per step; each step is p*x + sign*(c << 15), >> 16.
    """

    leading: int
    rest: tuple[tuple[int, int], ...]


RECIP_V65 = V65Polynomial(0x09E20F69199B2E12, ((-1, 0x472E57516AB67D56), (1, 0x736C794E7DE88001)))
POW2_V65 = V65Polynomial(0x1C3E17C713FF10CC, ((1, 0x40144D915538587C), (1, 0x8773825B806C8001)))


def poly_v65(x: Int, polynomial: V65Polynomial) -> Int:
    """`vlut4` followed by `vmpa`/`vmps` steps, v65 and later."""
    p = wrap16(_by_segment(x, polynomial.leading))
    for sign, constants in polynomial.rest:
        p = sat16((p * x + sign * (_by_segment(x, constants) << 15)) >> 16)
    return p


def recip16(d: Int, *, v65: bool) -> Int:
    """`hvx_recip16_inline(d, 10)` of hvx_mathops.h: 2**29 / d for d in 0x4000 .. 0x7fff."""
    if v65:
        x = poly_v65((d << 2) & 0xFFFF, RECIP_V65)
        x = sat16(2 * x)
        return _refine_recip(d, x)
    d2 = wrap16(2 * d)
    p = sat16(mul_frac(d2, 10598) - 5306)
    x = sat16(mul_frac(d2, p) + 16569)
    return _refine_recip(d, _refine_recip(d, x))


def _refine_recip(d: Int, x: Int) -> Int:
    """One Newton-Raphson step of `hvx_recip16_inline`."""
    error = sat16(mul_frac(d, x) - (1 << 14))
    return sat16(x - mul_frac(sat16(2 * error), x))
