"""Sums and means over axes."""

from __future__ import annotations

from math import prod

from hexconv.exact.arithmetic import (
    div255,
    exponent,
    frac_mul,
    fraction,
    int_power2,
    shift_right,
    step_and_zero,
    wrap16,
    zero_code,
)
from hexconv.exact.functions import ExactCall, Form, exact
from hexconv.exact.ranges import zero_exact
from hexconv.exact.value import Attribute, Scope, Value, where
from hexconv.simulator.kernels.reduce import MOST_SHIFT, wrapped_axes


@exact("QuantizedSum_8to32")
def total(call: ExactCall) -> Form:
    """int32 sums over axes."""
    axes = wrapped_axes(call.ints(3), call.node.op)
    elements = _elements(call, axes)

    def build(body: Scope, data: Value, in_low: Value, in_high: Value) -> list[Value]:
        """int32 sums of codes less their zero point (op_reducing_sum.c)."""
        low, high = zero_exact(in_low, in_high)
        count = body.given([elements], "int64")
        codes = data.to("int64").sum(Attribute("axes")) - zero_code(low, high) * count
        limit = div255(high - low) * 2.0**31
        return [codes.to("int32"), -limit, limit]

    return Form(build, (0, 1, 2), {"axes": list(axes)})


def _elements(call: ExactCall, axes: tuple[int, ...]) -> int:
    return prod(call.shapes[0][axis] for axis in axes)


@exact("QuantizedMean_8")
def mean(call: ExactCall) -> Form:
    """Means over axes, rounded twice."""
    count_of_inputs = len(call.node.inputs)
    axes = wrapped_axes(call.ints(3), call.node.op)
    elements = _elements(call, axes)

    def build(body: Scope, data: Value, in_low: Value, in_high: Value, *ends: Value) -> list[Value]:
        """Means rounded once after the multiplication, once after the shift.

        Source: op_reducing_mean.c.
        """
        in_low, in_high = zero_exact(in_low, in_high)
        low = ends[0] if ends else in_low
        high = ends[1] if len(ends) > 1 else in_high
        count = body.given([elements], "int64")
        in_step, zero_in = step_and_zero(in_low, in_high)
        out_step, zero_out = step_and_zero(low, high)
        ratio = in_step / (out_step * count.to("float32"))
        ratio = where(ratio < body.constant(0.99999, "float32"), ratio, 0.99999)
        factor = (fraction(ratio).to("float64") * 2.0**31).to("int64")
        wanted = -exponent(ratio)
        shift = where(wanted > MOST_SHIFT, MOST_SHIFT, wanted)
        total = data.to("int64").sum(Attribute("axes")) - zero_in * count
        scaled = frac_mul(total, factor)
        half = (int_power2(shift) - int_power2(shift) % 2) / 2
        half = where(wanted > MOST_SHIFT, 0, half)
        codes = shift_right(scaled + half, shift) + zero_out
        return [wrap16(codes).clip(0, 255).to("uint8"), low, high]

    suffix = {4: "_in_own_range", 5: "_of_given_min", 6: ""}[count_of_inputs]
    reads = (0, 1, 2, *range(4, count_of_inputs))
    return Form(build, reads, {"axes": list(axes)}, suffix)
