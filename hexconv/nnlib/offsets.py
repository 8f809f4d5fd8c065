"""The 16-bit offsets of products and differences: which ranges they fit."""

from __future__ import annotations

from collections.abc import Sequence
from math import frexp

WORST_PRODUCT = 2.0**-7 * (1 - 2.0**-14)
"""The ratio of steps at which a product's offset is largest: of the ratios that are shifted by 7,
the most that is allowed (op_mul_d32.c, set_mul_scaling_for_output_range), the one nearest to 1."""

WORST_DIFFERENCE = 0.5 * (1 - 2.0**-10)
"""The same of either operand of a subtraction (op_add_d32.c), of ratios below one half."""


def product_fits(zeros: Sequence[int], factor: float, zero: int) -> bool:
    """Whether the offset of a * b has 16 bits, and its shift is not negative.

    op_mul_d32.c, set_mul_scaling_for_output_range.

    Args:
        zeros: zero points of a and b.
        factor: the product of their steps beside the result's.
        zero: zero point of the result.
    """
    bias = (((2 * zeros[0] - 255) * (2 * zeros[1] - 255) + 256) >> 9) * 256
    shift = min(-frexp(factor)[1], 7)
    scale = round(factor * 2.0**shift * 2**15)
    offset = (bias * scale + (1 << 14) >> 15) + round(zero * 2.0**shift)
    return shift >= 0 and -(2**15) <= offset < 2**15


def difference_fits(zeros: Sequence[int], ratios: Sequence[float], zero: int) -> bool:
    """Whether the offset of a - b has 16 bits, which the library saturates it to.

    op_add_d32.c, set_addsub_scaling_for_output_range: the offset is counted in 2**-shift of the
    result's steps; only ratios below one half are shifted by 7.

    Args:
        zeros: zero points of a and b.
        ratios: their steps beside the result's.
        zero: zero point of the result.
    """
    shift = min(6 - frexp(max(ratios) * (16384 / 16380))[1], 7)
    moved = zeros[0] * ratios[0] - zeros[1] * ratios[1]
    return shift <= 0 or (zero - moved) * 2.0**shift < 2**15 - 2
