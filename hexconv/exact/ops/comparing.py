"""Extremes, choices and comparisons of uint8 tensors (simulator/kernels/minmax.py, compare.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hexconv.exact.arithmetic import (
    codes,
    div255,
    look_up,
    quantize_code,
    round_int,
    sat16,
    sat_u8,
    shift_right,
    step_and_zero,
    to_int,
)
from hexconv.exact.functions import ExactCall, Form, exact, shared
from hexconv.exact.ops.interface import exact_steps
from hexconv.exact.ranges import zero_exact
from hexconv.exact.value import Scope, Value, larger, maximum, minimum, smaller, where

BITS = 12


@shared
def moved_table(factor: Value, in_zero: Value, out_zero: Value) -> Value:
    """256 codes moved to another range by a 12-bit multiplier (jointly_quantize).

    The factor has 16 bits: it wraps where the output range is under a sixteenth of the input's.
    """
    moved = (codes(factor.body) - in_zero) * (factor % 0x10000)
    moved = sat16(shift_right(moved + (1 << (BITS - 1)), BITS)) + out_zero
    return moved.clip(0, 255).to("uint8")


def in_range(data: Value, ends: Sequence[Value], out: Sequence[Value]) -> Value:
    """Codes of the output range; as they are where it is their own (requantize_to_outrange)."""
    (low, high), (out_low, out_high) = ends, out
    in_step, in_zero = step_and_zero(low, high)
    out_step, out_zero = step_and_zero(out_low, out_high)
    ratio = (in_step / out_step * float(1 << BITS)).to("float64") + 0.5
    table = moved_table(ratio.floor().to("int64"), in_zero, out_zero)
    same = low.equal(out_low) & high.equal(out_high)
    own = codes(data.body).to("int32")
    return look_up(where(same, own, table.to("int32")).to("uint8"), data)


@exact("QuantizedMaximum_8", "QuantizedMinimum_8")
def larger_or_smaller(call: ExactCall) -> Form:
    """The larger, or smaller, of two."""
    pick = maximum if call.node.op == "QuantizedMaximum_8" else minimum
    count = len(call.node.inputs)

    def build(body: Scope, a: Value, b: Value, *ends: Value) -> list[Value]:
        """Codes of both operands moved into the output range, and the larger or smaller.

        Source: op_minimum_maximum.c.
        """
        low = ends[4] if count > 6 else smaller(ends[0], ends[2])
        high = ends[5] if count > 7 else larger(ends[1], ends[3])
        left = in_range(a, ends[:2], (low, high)).to("int32")
        right = in_range(b, ends[2:4], (low, high)).to("int32")
        return [pick(left, right).to("uint8"), low, high]

    suffix = {6: "_in_union", 7: "_of_given_min", 8: ""}[count]
    return Form(build, tuple(range(count)), suffix=suffix)


@exact("Select_8")
def select(call: ExactCall) -> Form:
    """Codes of X where the condition's lowest bit is set, of Y elsewhere."""

    def build(body: Scope, condition: Value, x: Value, *rest: Value) -> list[Value]:
        """x where the condition is odd, else y, in the union of their ranges (op_select_8.c).

        Inputs condition, x, x min, x max, y, y min, y max.
        """
        x_min, x_max, y, y_min, y_max = rest
        low, high = zero_exact(smaller(x_min, y_min), larger(x_max, y_max))
        chosen = [_into(x, (x_min, x_max), (low, high)), _into(y, (y_min, y_max), (low, high))]
        odd = (condition.to("int32") % 2).equal(1)
        return [where(odd, *chosen), low, high]

    return Form(build, tuple(range(7)))


def _into(data: Value, ends: Sequence[Value], out: Sequence[Value]) -> Value:
    """Codes of a range in another one, by a factor that is cut (select_execute)."""
    (in_low, in_high), (low, high) = ends, out
    out_step = (high - low) / 255.0
    zero = data.body.constant(0.0, "float32")
    ratio = (in_high - in_low) / 255.0 / out_step * float(1 << BITS)
    in_zero, out_zero = quantize_code(zero, in_low, in_high), quantize_code(zero, low, high)
    return look_up(moved_table(to_int(ratio), in_zero, out_zero), data)


@shared
def value_table(low: Value, high: Value) -> Value:
    """The float that each code is compared as; steps below 0.0001 count as 0.0001."""
    step = larger(1e-4, div255(high - low))
    return exact_steps(sat_u8(round_int(-low / step)), step)


COMPARE: dict[str, Callable[[Value, Value], Value]] = {
    "QuantizedEqual_8": lambda a, b: a.equal(b),
    "QuantizedNotEqual_8": lambda a, b: ~a.equal(b),
    "QuantizedLess_8": lambda a, b: a < b,
    "QuantizedLessEqual_8": lambda a, b: a <= b,
    "QuantizedGreater_8": lambda a, b: a > b,
    "QuantizedGreaterEqual_8": lambda a, b: a >= b,
}


@exact(*COMPARE)
def compare(call: ExactCall) -> Form:
    """1 where it holds, else 0."""
    holds = COMPARE[call.node.op]

    def build(body: Scope, a: Value, b: Value, *ends: Value) -> list[Value]:
        """Codes of one range are compared as they are, those of two ranges as floats.

        Source: op_compare_8.c.
        """
        same = ends[0].equal(ends[2]) & ends[1].equal(ends[3])
        plain = codes(body).to("float32")
        left, right = (
            look_up(where(same, plain, value_table(*pair)), data)
            for data, pair in ((a, ends[:2]), (b, ends[2:]))
        )
        return [holds(left, right).to("uint8")]

    return Form(build, tuple(range(6)))
