"""Output ranges that the library's fixed-point arithmetic supports, and computes correctly.

A binary op turns the ratio of input and output scales into integers of 16 bits. Outside their
range the library fails, or overflows and returns wrong values. A result is then computed in
the nearest range that fits, which is as fine as the operands are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from hexconv.nnlib.offsets import (
    WORST_DIFFERENCE,
    WORST_PRODUCT,
    difference_fits,
    product_fits,
)
from hexconv.quantize import Range, cover

LARGEST_SUM = 4000.0
"""Of the ratios of both operands' steps to the result's: 12 bits (op_add_d32.c,
set_addsub_scaling_for_output_range)."""
NARROWEST = 1e-6
"""Of the ranges that a sum, a product or a batch norm can be asked for: the library widens narrower
ones (op_add_d32.c, op_batchnorm_d32.c)."""
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
    value_range = _coarser(wanted, (left.step + right.step) / LARGEST_SUM)
    if op == "Add" or _difference_fits([left], [right], value_range):
        return value_range
    return cover(left.min - right.max, left.max - right.min)


def is_narrow(value_range: Range) -> bool:
    """Whether the library widens it where a sum, a product or a batch norm is asked for it."""
    return value_range.max - value_range.min < NARROWEST


def always_fits(op: str, left: Iterable[Range], right: Iterable[Range], asked: Range) -> bool:
    """Whether a binary op can return `asked` whichever of these ranges its operands come in.

    Where an operand comes in several, any loudness up to theirs is meant.
    """
    one, other = list(left), list(right)
    steps = [max(came.step for came in operand) for operand in (one, other)]
    if op in ("Max", "Min"):
        return max(steps) <= LARGEST_MOVE * asked.step
    if op != "Mul":
        fits = op == "Add" or _difference_fits(one, other, asked)
        return fits and sum(steps) <= LARGEST_SUM * asked.step
    factor = steps[0] * steps[1] / asked.step
    if len(one) + len(other) > 2:
        factor = min(factor, WORST_PRODUCT)
    zeros = product({came.zero for came in one}, {came.zero for came in other})
    return steps[0] * steps[1] < asked.step and all(
        product_fits(pair, factor, asked.zero) for pair in zeros
    )


def centering_fits(left: Iterable[Range], means: Range, widest: Range, asked: Range) -> bool:
    """Whether x - mean(x) can return `asked`, whichever ranges x and its mean come in.

    The offset is that of min(x) - min(mean): neither is above 0, and the mean's is not below that
    of x unless it is calibration's.

    Args:
        left: ranges of x.
        means: the least range of its mean.
        widest: of the mean.
        asked: of the difference.
    """
    steps = widest.step + max(came.step for came in left)
    return -means.min <= asked.max and steps <= LARGEST_SUM * asked.step


def _difference_fits(left: Sequence[Range], right: Sequence[Range], asked: Range) -> bool:
    """Whether the offset of left - right fits at every loudness up to the ranges given.

    The offset is largest where the left operand is silent and the right one nearly half as coarse
    as the result.
    """
    ratios = [max(came.step for came in operand) / asked.step for operand in (left, right)]
    if len(left) > 1:
        ratios[0] = 0.0
    if len(right) > 1:
        ratios[1] = min(ratios[1], WORST_DIFFERENCE)
    zeros = product({came.zero for came in left}, {came.zero for came in right})
    return all(difference_fits(pair, ratios, asked.zero) for pair in zeros)


def _product(left: Range, right: Range, wanted: Range) -> Range:
    """op_mul_d32.c, set_mul_scaling_for_output_range: no negative shift, an offset of 16 bits."""
    unit, zeros = left.step * right.step, (left.zero, right.zero)
    value_range = _coarser(wanted, unit * 1.001)
    if product_fits(zeros, unit / value_range.step, value_range.zero):
        return value_range
    ends = [a * b for a in (left.min, left.max) for b in (right.min, right.max)]
    low, high = min(ends), max(ends)
    value_range = _coarser(cover(max(low, wanted.min), min(high, wanted.max)), unit * 1.001)
    if product_fits(zeros, unit / value_range.step, value_range.zero):
        return value_range
    return cover(low, high)


def _coarser(value_range: Range, step: float) -> Range:
    """The range with at least the scale `step`, its zero point unchanged."""
    return value_range if value_range.step >= step else value_range.scaled(step / value_range.step)
