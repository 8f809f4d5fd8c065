"""How the library moves a (min, max) until zero is a whole code (nnlib quantize.h, quantize.c)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hexconv.nnlib.graph import Array
from hexconv.simulator.hvx import F32, div_255, round_f32, saturate_u8

# Within 2**-14 of a whole number counts as one.
_NEARLY = F32(6.1035156e-05)
_ALMOST_ONE = F32(0.999938965)


class AdjustedRange(NamedTuple):
    """A range that holds zero on a whole code, one code's step, and its reciprocal."""

    minimum: np.float32
    maximum: np.float32
    step: np.float32
    steps_per_unit: np.float32


def as_tensor(value: float | np.floating[np.typing.NBitBase] | np.float32) -> Array:
    """A number as the 1x1x1x1 float32 that the library passes min and max in."""
    return np.full((1, 1, 1, 1), value, np.float32)


def zero_code(minimum: np.float32, maximum: np.float32) -> int:
    """`quantize_uint8(0, min, max)`."""
    span = max(F32(1e-18), F32(maximum - minimum))
    return saturate_u8(round_f32(F32(F32(F32(0) - minimum) * F32(F32(255) / span))))


def adjust_range(minimum: np.float32, maximum: np.float32) -> AdjustedRange:
    """`quantize_adjust_range`: zero taken in, then the end moved that moves least."""
    low, high = min(F32(0), minimum), max(F32(0), maximum)
    span = max(F32(1e-18), F32(high - low))
    per_unit = F32(F32(255) / span)
    if low < 0:
        zero = F32(-low * per_unit)
        whole = np.floor(zero)
        part = F32(zero - whole)
        if _NEARLY < part < _ALMOST_ONE:
            if _moves_max(whole, part, low, high):
                span = F32(F32(F32(-255) * low) / whole)
                high = F32(low + span)
            else:
                low = F32(F32(high * F32(whole + F32(1))) / F32(whole - F32(254)))
                span = F32(high - low)
            per_unit = F32(F32(255) / span)
    return AdjustedRange(low, high, div_255(span), per_unit)


def with_exact_zero(minimum: np.float32, maximum: np.float32) -> tuple[np.float32, np.float32]:
    """`adjust_minmax_for_zero`: a range that already holds zero; unusable ones stay as they are."""
    span = F32(maximum - minimum)
    if not span >= F32(1e-6) or minimum == 0:
        return minimum, maximum
    zero = F32(F32(F32(-255) * minimum) / span)
    whole = np.floor(zero)
    part = F32(zero - whole)
    if part <= _NEARLY or part >= _ALMOST_ONE:
        return minimum, maximum
    if _moves_max(whole, part, minimum, maximum):
        return minimum, F32(minimum - F32(F32(F32(255) * minimum) / whole))
    return F32(F32(maximum * F32(whole + F32(1))) / F32(whole - F32(254))), maximum


def _moves_max(
    whole: np.float32, part: np.float32, minimum: np.float32, maximum: np.float32
) -> bool:
    if whole <= 0:
        return False
    return bool(whole > 253 or F32(F32(part - F32(1)) * minimum) >= F32(part * maximum))
