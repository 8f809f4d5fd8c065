"""Output ranges that the library's fixed-point arithmetic supports, and computes correctly.

A binary op turns the ratio of input and output scales into integers of 16 bits. Outside their
range the library fails, or overflows and returns wrong values. A result is then computed in
the nearest range that fits, which is as fine as the operands are.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import frexp

from hexconv.quantize import Range, cover

INT16 = 1 << 15
LARGEST_SUM = 4000.0
"""Of the ratios of both operands' steps to the result's: 12 bits (op_add_d32.c,
set_addsub_scaling_for_output_range)."""
LARGEST_MOVE = 15.0
"""Of the ratio of steps in Maximum and Minimum: 12 fractional bits of 16 (op_minimum_maximum.c)."""


def request(op: str, left: Range, right: Range, wanted: Range) -> Range:
    """The range to request of a binary op: `wanted`, or the nearest supported one.

    Args:
        op: "Add", "Sub", "Mul", "Max" or "Min".
        left: range of the first operand.
        right: range of the second operand.
        wanted: the desired range of the result.
    """
    if op == "Mul":
        return _product(left, right, wanted)
    if op in ("Max", "Min"):
        return _coarser(wanted, max(left.step, right.step) / LARGEST_MOVE)
    return _coarser(wanted, (left.step + right.step) / LARGEST_SUM)


def always_fits(op: str, left: Iterable[Range], right: Iterable[Range], asked: Range) -> bool:
    """Whether a binary op can answer in `asked` whichever of these ranges its operands come in."""
    others = list(right)
    return all(_fits(op, one, other, asked) for one in left for other in others)


def _fits(op: str, left: Range, right: Range, asked: Range) -> bool:
    if op == "Mul":
        return left.step * right.step < asked.step and _offset_fits(left, right, asked)
    if op in ("Max", "Min"):
        return max(left.step, right.step) <= LARGEST_MOVE * asked.step
    return left.step + right.step <= LARGEST_SUM * asked.step


def _product(left: Range, right: Range, wanted: Range) -> Range:
    """op_mul_d32.c, set_mul_scaling_for_output_range: no negative shift, an offset of 16 bits."""
    unit = left.step * right.step
    value_range = _coarser(wanted, unit * 1.001)
    if _offset_fits(left, right, value_range):
        return value_range
    ends = [a * b for a in (left.min, left.max) for b in (right.min, right.max)]
    low, high = min(ends), max(ends)
    value_range = _coarser(cover(max(low, wanted.min), min(high, wanted.max)), unit * 1.001)
    return value_range if _offset_fits(left, right, value_range) else cover(low, high)


def _offset_fits(left: Range, right: Range, value_range: Range) -> bool:
    bias = (((2 * left.zero - 255) * (2 * right.zero - 255) + 256) >> 9) * 256
    factor = left.step * right.step / value_range.step
    shift = min(-frexp(factor)[1], 7)
    scale = round(factor * 2.0**shift * INT16)
    offset = (bias * scale + (INT16 >> 1) >> 15) + round(value_range.zero * 2.0**shift)
    return -INT16 <= offset < INT16


def _coarser(value_range: Range, step: float) -> Range:
    """The range with at least the scale `step`, its zero point unchanged."""
    return value_range if value_range.step >= step else value_range.scaled(step / value_range.step)
