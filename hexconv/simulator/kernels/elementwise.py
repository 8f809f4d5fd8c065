"""QuantizedAdd_8p8to8 and QuantizedSub_8p8to8, flat and d32 (nnlib op_add.c, op_add_d32.c).

Both forms scale the two values by 15-bit factors of one common exponent, add, and shift down:
one integer multiply-add per value and one shift. They differ in how they treat the requested
range, and in how a single value is added where the range is not given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import NamedTuple

import numpy as np

from hexconv import native
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import (
    F32,
    MAX_FIXED,
    MIN_FIXED,
    ZERO,
    as_range,
    derived,
    exponent,
    ldexp,
    one_sided_broadcast,
    round_int,
    sat_i16,
    step_and_zero,
    to_codes,
    zero_exact_fixed,
)
from hexconv.simulator.numerics.scaled_copy import scaled_copy
from hexconv.simulator.registry import KernelCall, kernel

BOTH_FIXED = MIN_FIXED + MAX_FIXED


@dataclass(frozen=True)
class SumScaling:
    """The sum of two values: ((a*scale_a + b*scale_b >> first) + offset) >> last, saturated."""

    low: F32
    high: F32
    scale_a: int
    scale_b: int
    first: int
    last: int
    offset: int
    zero: int  # the value after the first shift of 0 + 0
    unit: F32  # real value of one unit after the first shift

    @property
    def bias(self) -> int:
        """Offset and rounding bias, scaled to before the first shift."""
        return (self.offset + ((1 << self.last) >> 1)) << self.first


class Request(NamedTuple):
    """The ranges of the operands, their signs, and the node's requested output range."""

    a: tuple[float, float]
    b: tuple[float, float]
    signs: tuple[int, int]
    low: float | None
    high: float | None

    @property
    def fixed(self) -> int:
        """Which ends are given."""
        return MIN_FIXED * (self.low is not None) + MAX_FIXED * (self.high is not None)


def scaling_for(request: Request, low: F32, high: F32, fixed_range: bool) -> SumScaling:
    """Integer factors for one output range (`set_addsub_scaling_for_output_range`)."""
    step_a, zero_a = step_and_zero(F32(request.a[0]), F32(request.a[1]))
    step_b, zero_b = step_and_zero(F32(request.b[0]), F32(request.b[1]))
    out_scale = F32(F32(255.0) / F32(high - low))
    out_zero = F32(-low * out_scale)
    factor_a, factor_b = F32(out_scale * step_a), F32(out_scale * step_b)
    if request.signs == (1, 1):
        largest = F32(factor_a + factor_b)
    else:
        largest = max(factor_a, factor_b)
        factor_a, factor_b = F32(factor_a * request.signs[0]), F32(factor_b * request.signs[1])
    power = exponent(F32(largest * F32(16384.0 / 16380.0)))
    if power > (12 if fixed_range else 6):
        raise GraphError(
            f"output range {low}..{high} is too small for inputs of {request.a} and {request.b}",
            why="the scale factors do not fit the library's 16 bits (op_add_d32.c)",
            hint="widen the output range",
        )
    shift = min(6 - power, 7)
    preshift = 1 - shift if fixed_range and shift <= 0 else 0
    unit = ldexp(F32(1.0), shift)
    scale_a = round_int(F32(factor_a * F32(unit * F32(256.0))))
    scale_b = round_int(F32(factor_b * F32(unit * F32(256.0))))
    zero = (zero_a * scale_a + zero_b * scale_b) >> (8 - preshift)
    offset = round_int(F32(out_zero * (F32(2.0) if preshift else unit))) - zero
    return SumScaling(
        low=low,
        high=high,
        scale_a=scale_a,
        scale_b=scale_b,
        first=8 - preshift,
        last=1 if preshift else shift,
        offset=offset if preshift else sat_i16(offset),
        zero=zero,
        unit=F32(F32(1.0) / F32(out_scale * unit)),
    )


@derived
def fixed_scaling(request: Request) -> SumScaling:
    """Scaling for an output range of which both ends are given."""
    low, high = zero_exact_fixed(F32(request.low), F32(request.high), BOTH_FIXED)
    return scaling_for(request, low, high, fixed_range=True)


@derived
def first_guess(request: Request) -> SumScaling:
    """Scaling for an eighth of the largest range that the inputs allow, given ends kept."""
    (a_low, a_high), (b_low, b_high) = (
        (F32(lo), F32(hi)) if sign > 0 else (F32(-F32(hi)), F32(-F32(lo)))
        for (lo, hi), sign in zip((request.a, request.b), request.signs, strict=True)
    )
    most = F32(a_high + b_high)
    least = F32(a_low + b_low)
    most = max(most, F32(least + F32(0.001)))
    low, high = F32(F32(0.125) * least), F32(F32(0.125) * most)
    if request.fixed == MIN_FIXED:
        low, high = F32(request.low), max(ZERO, F32(F32(request.low) + F32(high - low)))
    elif request.fixed == MAX_FIXED:
        low, high = min(ZERO, F32(F32(request.high) - F32(high - low))), F32(request.high)
    low, high = zero_exact_fixed(low, high, request.fixed)
    return scaling_for(request, low, high, fixed_range=False)


def rescaled(request: Request, guess: SumScaling, least: int, most: int) -> SumScaling:
    """The scaling after measuring the data (`check_addsub_need_rerun`).

    `least` and `most` bound the sums after the first shift.
    """
    actual_low = F32(F32(min(least, guess.zero) - guess.zero) * guess.unit)
    actual_high = F32(F32(max(most, guess.zero) - guess.zero) * guess.unit)
    value_range = F32(actual_high - actual_low)
    value_range = F32(value_range + max(F32(F32(0.15) * value_range), F32(1e-4)))
    low, high = guess.low, guess.high
    below = request.low is None and actual_low < low
    above = request.high is None and actual_high > high
    if not below and not above:
        return guess
    if below:
        low = min(ZERO, F32(actual_high - value_range))
    if above:
        high = max(ZERO, F32(actual_low + value_range))
    low = low if request.low is None else F32(request.low)
    high = high if request.high is None else F32(request.high)
    if low < 0:
        low, high = zero_exact_fixed(low, high, request.fixed)
    return scaling_for(request, low, high, fixed_range=False)


def weighted_sum(a: Array, b: Array, scaling: SumScaling, bias: int) -> Array:
    """a*scale_a + b*scale_b + bias, int32, in the broadcast shape."""
    small, big = (a, b) if a.size < b.size else (b, a)
    factors = (scaling.scale_a, scaling.scale_b)
    small_factor, big_factor = factors if small is a else factors[::-1]
    addend = small.astype(np.int32)
    addend *= small_factor
    addend += bias
    total = big.astype(np.int32)
    total *= big_factor
    total += addend
    return total


def combine(a: Array, b: Array, request: Request, search: bool) -> list[Array]:
    """Output, min and max; `search` lets the range grow to contain the data."""
    if request.fixed == BOTH_FIXED:
        scaling = fixed_scaling(request)
    else:
        scaling = first_guess(request)
        if search:
            total = weighted_sum(a, b, scaling, 0)
            least, most = int(total.min()), int(total.max())
            scaling = rescaled(request, scaling, least >> scaling.first, most >> scaling.first)
    return [added(a, b, scaling), *as_range(scaling.low, scaling.high)]


def added(a: Array, b: Array, scaling: SumScaling) -> Array:
    """The sum as quantized values."""
    scales, shift = (scaling.scale_a, scaling.scale_b), scaling.first + scaling.last
    passes = native.library()
    if passes is not None:
        return passes.add(a, b, scales, scaling.bias, shift)
    total = weighted_sum(a, b, scaling, scaling.bias)
    total >>= shift
    return to_codes(total)


def wanted(call: KernelCall) -> tuple[float | None, float | None]:
    """The requested ends of the output range; None where the library has to find one."""
    low = call.inputs[6].item() if len(call.inputs) > 6 else -inf
    high = call.inputs[7].item() if len(call.inputs) > 7 else inf
    return (None if low == -inf else low), (None if high == inf else high)


def input_ranges(call: KernelCall) -> tuple[tuple[float, float], tuple[float, float]]:
    """(min, max) of both operands."""
    ends = [tensor.item() for tensor in call.inputs[2:6]]
    return (ends[0], ends[1]), (ends[2], ends[3])


@kernel("QuantizedAdd_8p8to8")
def add_flat(call: KernelCall) -> list[Array]:
    """Add of two tensors of one shape (`addsub_flat_direct_execute`)."""
    a, b = call.inputs[:2]
    if a.shape != b.shape:
        raise GraphError(
            f"the flat QuantizedAdd_8p8to8 cannot combine shapes {a.shape} and {b.shape}",
            why="the library broadcasts operands only in its d32 form",
        )
    low, high = wanted(call)
    request = Request(*input_ranges(call), (1, 1), low, high)
    return combine(a, b, request, search=high is None)


@kernel("QuantizedAdd_8p8to8_d32", "QuantizedSub_8p8to8_d32")
def add_sub_d32(call: KernelCall) -> list[Array]:
    """Add or subtract with one operand broadcast to the other (`addsub_d32_execute_common`)."""
    plan = call.settled(2, lambda: _plan(call))
    a, b = call.inputs[:2]
    if plan.swapped:
        a, b = b, a
    request = plan.request
    if request.fixed == BOTH_FIXED:
        return [added(a, b, plan.scaling), *plan.ends]
    if request.fixed == 0 and b.size == 1:
        return add_single(a, int(b.flat[0]), request)
    return combine(a, b, request, search=True)


@dataclass(frozen=True)
class AddPlan:
    """The parameters that do not depend on the data; `scaling` and `ends` if the range is given."""

    swapped: bool
    request: Request

    @cached_property
    def scaling(self) -> SumScaling:
        """For the given range."""
        return fixed_scaling(self.request)

    @cached_property
    def ends(self) -> list[Array]:
        """The range, zero made exact."""
        return as_range(self.scaling.low, self.scaling.high)


def _plan(call: KernelCall) -> AddPlan:
    """Whether the second operand is the one that is broadcast."""
    sign = -1 if call.op == "QuantizedSub_8p8to8_d32" else 1
    a_range, b_range = input_ranges(call)
    signs = (1, sign)
    swapped = one_sided_broadcast(call.op, *call.inputs[:2])
    if swapped:
        a_range, b_range, signs = b_range, a_range, (sign, 1)
    low, high = wanted(call)
    low = None if low is None else min(0.0, low)
    high = None if high is None else max(0.0, high)
    if low is not None and high is not None:
        high = max(float(F32(F32(low) + F32(1e-6))), high)
    return AddPlan(swapped, Request(a_range, b_range, signs, low, high))


@derived
def single_plan(request: Request, code: int) -> tuple[int, int, F32, F32]:
    """Scale and offset of the values, and the output range, when one value is added to all.

    `addsub_setup_scaling`, mode 1111: the ends move, and values are rescaled only where zero would
    fall out of the range.
    """
    a_low, a_high = F32(request.a[0]), F32(request.a[1])
    step_a, zero_a = step_and_zero(a_low, a_high)
    step_b, zero_b = step_and_zero(F32(request.b[0]), F32(request.b[1]))
    value = F32(F32(code - zero_b) * step_b)
    if request.signs != (1, 1):
        value = F32(-value)
    value_range = F32(a_high - a_low)
    moved_zero = F32(F32(zero_a) - F32(value / step_a))
    scale, offset = 32768, 0
    if F32(-0.25) <= moved_zero <= F32(255.25):
        low = F32(F32(-round_int(moved_zero)) * step_a)
        high = F32(low + value_range)
    else:
        low, high = (ZERO, F32(a_high + value)) if value > 0 else (F32(a_low + value), ZERO)
        scale = round_int(F32(F32(F32(32768.0) * value_range) / F32(high - low)))
        if value > 0:
            scale = sat_i16(scale)
            offset = 128 * 255 - ((255 * scale) >> 8)
    if request.signs == (-1, 1):
        scale, offset = -scale, 255 * 128 - offset
        low, high = F32(-high), F32(-low)
    if -128 <= scale <= 128:
        first = (offset + 64) >> 7
        last = (scale * 255 + offset * 256 + 16384) >> 15
        if first == last:
            scale = 0
    return sat_i16(scale), offset, low, high


def add_single(a: Array, code: int, request: Request) -> list[Array]:
    """One value added to, or subtracted from, every element, without a given output range."""
    scale, offset, low, high = single_plan(request, code)
    return [scaled_copy(a, scale, offset), *as_range(low, high)]
