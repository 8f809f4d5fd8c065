"""Ranges that the library gives the results of some ops, whatever they are."""

from __future__ import annotations

from hexconv.quantize.ranges import LEVELS, Bounds, Range

UNIT = Range(1.0 / 255.0, 0)
"""Of Sigmoid_8 and Softmax_8: 0..1."""
TANH = Range(1.0 / 127.0, 127)
"""Of Tanh_8: -1..128/127 (op_tanh_d32.c)."""
FIXED = {"Sigmoid": UNIT, "Tanh": TANH}
"""By ONNX op; of a Softmax nothing else may be computed."""
SMALL = 0.32
"""Share of the fixed range below which results have a table of their own: 10 dB and more."""
ROUNDED = 1.01
"""What finding an integer zero point may take of a step."""


def least_width(op: str) -> float | None:
    """The width from which on a range leaves an ONNX op to the library's; None if all do."""
    return SMALL * ROUNDED * LEVELS * FIXED[op].step if op in FIXED else None


def at_least(bounds: Bounds, seen: Bounds, least: float) -> Bounds:
    """A range that is wide enough for the library's op, if all that was seen is.

    Args:
        bounds: narrower than what was seen.
        seen: (min, max).
        least: width, in which zero counts.
    """
    width, most = width_of(bounds), width_of(seen)
    if not width < least <= most:
        return bounds
    share = (least - width) / (most - width)
    low, high = (own + share * (end - own) for own, end in zip(bounds, seen, strict=True))
    return low, high


def width_of(bounds: Bounds) -> float:
    """Of the levels that a range gets: zero is one of them."""
    return max(bounds[1], 0.0) - min(bounds[0], 0.0)
