"""One uint8 tensor through a table: activations, clamps, slopes (simulator/kernels/activation.py,
unary.py, prelu.py)."""

from __future__ import annotations

from hexconv.exact.arithmetic import (
    codes,
    div255,
    double_power2,
    exponent,
    fixed_range,
    frac_mul,
    int_power2,
    ldexp,
    look_up,
    mul_frac,
    power2,
    quantize_code,
    quantize_codes,
    round_int,
    sat16,
    sat_u8,
    scalar4,
    shift_left,
    shift_right,
    shift_round,
    step_and_zero,
    to_codes,
    wrap16,
    wrap32,
)
from hexconv.exact.functions import ExactCall, Form, exact, shared
from hexconv.exact.ranges import zero_exact
from hexconv.exact.value import Scope, Value, larger, maximum, smaller, table, where
from hexconv.simulator.kernels.activation import SIGMOID, TANH
from hexconv.simulator.kernels.unary import SQUARE_ROOTS


@shared
def tanh_table(low: Value, high: Value) -> Value:
    """What each of the 256 codes becomes (make_tanh_lookup_table of op_tanh_d32.c)."""
    return _activation_table(low, high, sigmoid=False)


@shared
def sigmoid_table(low: Value, high: Value) -> Value:
    """The same for a sigmoid, by the tanh of half the input."""
    return _activation_table(low, high, sigmoid=True)


def _activation_table(low: Value, high: Value, *, sigmoid: bool) -> Value:
    """A piecewise quadratic of the distance from zero, in 16 segments."""
    body = low.body
    zero, multiplier, shift = _activation_gain(low, high, sigmoid=sigmoid)
    order2, order1, order0 = (table(body, row) for row in (SIGMOID if sigmoid else TANH))
    distance = codes(body) - zero
    x = sat16(shift_round(distance.abs() * multiplier, shift))
    segment, rest = x / 2048, x % 2048
    slope = wrap16(mul_frac(rest, order2.gather(segment)) + order1.gather(segment))
    value = sat16(mul_frac(rest * 4, slope) + order0.gather(segment))
    value = where(distance < 0, -1 - value, value)
    middle = (255 if sigmoid else 254) * 128
    return shift_round(shift_right(value + (middle + 1), 1), 7).clip(0, 255).to("uint8")


def _activation_gain(low: Value, high: Value, *, sigmoid: bool) -> tuple[Value, Value, Value]:
    """Input zero, multiplier, right shift (set_scaling_parms)."""
    value_range = high - low
    zero = sat_u8(round_int(low * -255.0 / value_range))
    gain = div255(value_range) * (1.25 * 8192.0)
    if sigmoid:
        gain = gain * 0.5
    shift = 15 - maximum(exponent(gain), 0)
    multiplier = sat16(round_int(gain * int_power2(shift).to("float32")))
    steep = shift < 0
    return zero, where(steep, 32767, multiplier), where(steep, 0, shift)


@exact("QuantizedTanh_8", "QuantizedTanh_8_d32", "QuantizedSigmoid_8", "QuantizedSigmoid_8_d32")
def activation(call: ExactCall) -> Form:
    """tanh or sigmoid."""
    sigmoid = "Sigmoid" in call.node.op

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """tanh over -1..128/127, or sigmoid over 0..1, through a table of the range."""
        if sigmoid:
            return [look_up(sigmoid_table(low, high), data), *fixed_range(body, 0.0, 1.0)]
        return [look_up(tanh_table(low, high), data), *fixed_range(body, -1.0, 128.0 / 127.0)]

    return Form(build, (0, 1, 2))


@exact("QuantizedRelu_8", "QuantizedReluX_8", "QuantizedClamp_8")
def clamp(call: ExactCall) -> Form:
    """Codes held between those of two values; the upper one wins."""
    op, count = call.node.op, len(call.node.inputs)

    def build(body: Scope, data: Value, low: Value, high: Value, *ends: Value) -> list[Value]:
        """Codes held between those of two values (op_relu.c)."""
        lowest = ends[0] if op == "QuantizedClamp_8" else body.constant(0.0, "float32")
        wide = maximum(data.to("int32"), quantize_code(lowest, low, high).to("int32"))
        if op == "QuantizedRelu_8":
            return [wide.to("uint8"), low, high]
        most = quantize_code(ends[-1], low, high).to("int32")
        return [body.op("Min", wide, most).to("uint8"), low, high]

    return Form(build, tuple(range(count)))


@exact("QuantizedNeg_8", "QuantizedNeg_8_d32")
def negate(call: ExactCall) -> Form:
    """Ones' complement, the range mirrored."""

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """255 - code, -max, -min (op_neg.c)."""
        return [(255 - data.to("int32")).to("uint8"), -high, -low]

    return Form(build, (0, 1, 2))


@exact("QuantizedSqrt_8")
def square_root(call: ExactCall) -> Form:
    """Square root of a range from 0."""

    def build(body: Scope, data: Value, low: Value, high: Value) -> list[Value]:
        """Codes through one fixed table (op_sqrt.c)."""
        ends = (body.op("Sqrt", low), body.op("Sqrt", high))
        return [look_up(table(body, SQUARE_ROOTS), data), *ends]

    return Form(build, (0, 1, 2))


def hard_swish_of(x: Value) -> Value:
    """x * clip(x + 3, 0, 6) / 6 in float32."""
    return x * (x + 3.0).clip(0.0, 6.0) / 6.0


@exact("QuantizedHardSwish_8_d32")
def hard_swish(call: ExactCall) -> Form:
    """x * relu6(x + 3) / 6."""
    given = len(call.node.inputs) > 3

    def build(body: Scope, data: Value, low: Value, high: Value, *ends: Value) -> list[Value]:
        """x * relu6(x + 3) / 6, in a given range or the one that the input's implies.

        The least value of the function, -0.375, is at -1.5.
        """
        if given:
            out_low, out_high = ends
        else:
            lowest = larger(low, scalar4(body.constant(-1.5, "float32")))
            out_low, out_high = hard_swish_of(lowest), hard_swish_of(high)
        step, zero = step_and_zero(low, high)
        values = (codes(body) - zero).to("float32") * step
        by_code = quantize_codes(hard_swish_of(values), out_low, out_high)
        return [look_up(by_code, data), out_low, out_high]

    suffix = "" if given else "_finds_range"
    return Form(build, tuple(range(len(call.node.inputs))), suffix=suffix)


@exact("QuantizedPRelu_8_d32")
def prelu(call: ExactCall) -> Form:
    """float32 slopes, one a channel."""

    def build(body: Scope, data: Value, low: Value, high: Value, alphas: Value) -> list[Value]:
        """PRelu by float32 slopes; the range follows from the input's and theirs.

        Source: op_prelu_d32.c.
        """
        slope_low = smaller(0.0, alphas.reduce("Min"))
        slope_high = larger(0.0, alphas.reduce("Max"))
        steep = larger(-slope_low, slope_high)
        slope_shift = where(steep > 1.0, exponent(steep), 0)
        scaled = alphas * (power2(-slope_shift) * 32768.0)
        half = where(scaled < 0, body.constant(-0.5, "float32"), 0.5)
        fixed = (scaled + half).clip(-32768.0, 32767.0).to("int64")
        return _sloped(data, low, high, (slope_low, slope_high, slope_shift), fixed)

    return Form(build, (0, 1, 2, 3))


def _sloped(
    data: Value, in_low: Value, in_high: Value, slopes: tuple[Value, Value, Value], fixed: Value
) -> list[Value]:
    """Range and integer parameters (prelu_opt_execute, set_scaling), and the codes."""
    slope_low, slope_high, slope_shift = slopes
    high = larger(in_high, in_low * slope_low)
    low, high = zero_exact(in_low * slope_high, high)
    in_span, out_span = in_high - in_low, high - low
    through = in_span / out_span
    one = through.body.constant(1.0, "float32")
    steepest = through * larger(one, larger(slope_high, -slope_low))
    power = maximum(exponent(steepest), 0)
    through_power = exponent(through)
    zero = sat_u8(round_int(in_low * -255.0 / in_span))
    gain = sat16(round_int(ldexp(through, 15 - power)))
    offset = shift_left(sat_u8(round_int(low * -255.0 / out_span)), 7 - power)
    factor = sat16(round_int(ldexp(through, 15 - through_power)))
    # The vector shift looks at 4 bits of the amount.
    gains = sat16(shift_round(fixed * factor, (15 + power - through_power - slope_shift) % 16))
    shift = 7 - power
    half = int_power2(shift) / 2
    distance = data.to("float64") - zero.to("float64")
    by_sign = where(distance < 0, gains.to("float64"), gain.to("float64"))
    bias = (shift_left(offset + half, 15) + (1 << 14)).to("float64")
    down = double_power2(-shift - 15)
    return [to_codes((distance * by_sign * 128.0 + bias) * down), low, high]


@exact("QuantizedPRelu_8_V2_d32")
def prelu_v2(call: ExactCall) -> Form:
    """uint8 slopes, one a channel."""
    count = len(call.node.inputs)

    def build(body: Scope, data: Value, low: Value, high: Value, *rest: Value) -> list[Value]:
        """PRelu by uint8 slopes, in a given range or the one that inputs and slopes imply.

        Source: op_prelu_v2_d32.c.
        """
        slopes, s_low, s_high, *ends = rest
        natural = larger(high, low * s_low)
        out = (ends[0] if ends else low * s_high, ends[1] if len(ends) > 1 else natural)
        out_low, out_high = zero_exact(*out)
        in_step, zero = step_and_zero(low, high)
        slope_step, slope_zero = step_and_zero(s_low, s_high)
        out_step, out_zero = step_and_zero(out_low, out_high)
        above = in_step / out_step
        below = above * slope_step
        steps = data.to("int64") - zero
        upper = _fixed_gain(steps, above)
        lower = _fixed_gain(steps * (slopes.to("int64") - slope_zero), below)
        moved = where(steps < 0, lower, upper) + out_zero
        return [to_codes(moved), out_low, out_high]

    suffix = {6: "_finds_range", 7: "_finds_max", 8: ""}[count]
    return Form(build, tuple(range(count)), suffix=suffix)


def _fixed_gain(x: Value, gain: Value) -> Value:
    """x by a gain with 31 fractional bits, shifted left before it in 32 bits."""
    shift = where(gain <= 1.0, 0, exponent(gain))
    shifted = wrap32(shift_left(x, shift % 32))
    return frac_mul(shifted, round_int(ldexp(gain, 31 - shift)))
