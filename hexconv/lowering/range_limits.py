"""Output ranges that the library's fixed-point arithmetic supports, and computes correctly.

A binary op turns the ratio of input and output scales into integers of 16 bits. Outside their
range the library fails, or overflows and returns wrong values. A result is then computed in
the nearest range that fits, which is as fine as the operands are.
"""

from __future__ import annotations

from math import frexp

from hexconv.quantize import Range, cover

INT16 = 1 << 15


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
        # The factor in_step / out_step has 12 fractional bits of 16 (op_minimum_maximum.c).
        return _coarser(wanted, max(left.step, right.step) / 15.0)
    # factor_a + factor_b under 2^12 (op_add_d32.c, set_addsub_scaling_for_output_range).
    return _coarser(wanted, (left.step + right.step) / 4000.0)


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
