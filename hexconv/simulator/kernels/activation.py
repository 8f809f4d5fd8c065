"""QuantizedTanh_8, QuantizedSigmoid_8 and their d32 forms (nnlib op_tanh_d32.c): one table each."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.simulator.numerics.fixed_point import (
    F32,
    as_range,
    div255,
    exponent,
    round_int,
    sat_i16,
    sat_u8,
)
from hexconv.simulator.numerics.hvx import Int, mul_frac, numbers, sat16, satu8, shift_round, wrap16
from hexconv.simulator.numerics.tables import look_up
from hexconv.simulator.registry import KernelCall, kernel

# tanh_lut and sigmoid_lut of op_tanh_d32.c: tanh over 0 .. 3.2 in 16 segments, orders 2, 1, 0.
TANH = (
    numbers(
        "-7994 -21652 -29653 -31481 -28797 -23876 -18511 -13703 "
        "-9826 -6894 -4766 -3262 -2217 -1500 -1011 -677"
    ),
    numbers("26172 25098 22283 18480 14485 10862 7879 5579 3883 2671 1822 1236 835 563 378 254"),
    numbers(
        "0 6418 12354 17462 21590 24761 27104 28784 29965 30782 31342 31723 31981 32155 32272 32351"
    ),
)
SIGMOID = (
    numbers(
        "-8026 -21738 -29770 -31605 -28910 -23970 -18584 -13757 "
        "-9865 -6921 -4785 -3275 -2226 -1506 -1015 -680"
    ),
    numbers("26275 25197 22371 18553 14542 10905 7910 5601 3899 2681 1829 1240 838 565 380 255"),
    numbers(
        "0 6443 12403 17531 21675 24859 27210 28898 30083 30904 31466 31848 32107 32282 32399 32479"
    ),
)


@kernel("QuantizedTanh_8", "QuantizedTanh_8_d32")
def tanh(call: KernelCall) -> list[Array]:
    """tanh over -1 .. 128/127: the zero point is 127, the largest result 254."""
    return _look_up(call, sigmoid=False, low=-1.0, high=128.0 / 127.0)


@kernel("QuantizedSigmoid_8", "QuantizedSigmoid_8_d32")
def sigmoid(call: KernelCall) -> list[Array]:
    """Sigmoid over 0 .. 1, by the tanh of half the input."""
    return _look_up(call, sigmoid=True, low=0.0, high=1.0)


def _look_up(call: KernelCall, *, sigmoid: bool, low: float, high: float) -> list[Array]:
    table, ends = call.settled(
        1,
        lambda: (
            tanh_table(call.scalar(1), call.scalar(2), sigmoid=sigmoid),
            as_range(low, high),
        ),
    )
    return [look_up(table, call.inputs[0]), *ends]


def _gain(minimum: np.float32, maximum: np.float32, *, sigmoid: bool) -> tuple[int, int, int]:
    """`set_scaling_parms`: input zero, multiplier, right shift."""
    value_range = F32(maximum - minimum)
    zero = sat_u8(round_int(F32(F32(F32(-255) * minimum) / value_range)))
    gain = F32(div255(value_range) * F32(1.25 * 8192.0))
    if sigmoid:
        gain = F32(gain * F32(0.5))
    shift = 15 - max(exponent(gain), 0)
    if shift < 0:
        return zero, 32767, 0
    return zero, sat_i16(round_int(F32(gain * F32(1 << shift)))), shift


def tanh_table(minimum: np.float32, maximum: np.float32, *, sigmoid: bool) -> Array:
    """`make_tanh_lookup_table`: the result for each of the 256 values, uint8."""
    zero, multiplier, shift = _gain(minimum, maximum, sigmoid=sigmoid)
    order2, order1, order0 = SIGMOID if sigmoid else TANH
    distance = np.arange(256, dtype=np.int64) - zero
    x = sat16(shift_round(np.abs(distance) * multiplier, shift))
    segment, rest = x >> 11, x & 0x7FF
    slope = wrap16(mul_frac(rest, order2[segment]) + order1[segment])
    value: Int = sat16(mul_frac(rest << 2, slope) + order0[segment])
    value = np.where(distance < 0, ~value, value)
    middle = (255 if sigmoid else 254) * 128
    return satu8(shift_round((value + middle + 1) >> 1, 7))
