"""Codes read under another range than their node's: by which factor that multiplies them."""

from __future__ import annotations

from hexconv.nnlib.ranges.found import Bound, Ends

CLOSE = 2.0**-10
"""Difference of two ends, of the range's width, up to which they are the same: a quarter step."""


def scale_of(own: Ends, read: Ends) -> float | None:
    """By what a reader multiplies a tensor that it reads with (min, max) of its own.

    Args:
        own: both ends of the tensor's range.
        read: both ends that the reader is given.

    Returns:
        1 for the same range; None where no factor makes one of the other.
    """
    if own == read:
        return 1.0
    pairs = [*own, *read]
    if not all(isinstance(end, float) for end in pairs):
        return None
    low, high, read_low, read_high = (_number(end) for end in pairs)
    if high <= low or read_high <= read_low:
        return None
    factor = (read_high - read_low) / (high - low)
    slack = CLOSE * (read_high - read_low)
    if abs(read_low - factor * low) > slack or abs(read_high - factor * high) > slack:
        return None
    return 1.0 if abs(factor - 1.0) <= CLOSE else factor


def _number(end: Bound) -> float:
    assert isinstance(end, float)
    return end
