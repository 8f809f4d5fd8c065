"""QuantizedEqual_8 and the five other comparisons; 1 or 0 out (nnlib op_compare_8.c)."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.elementwise import input_ranges
from hexconv.simulator.kernels.interface import exact_steps
from hexconv.simulator.numerics.fixed_point import (
    F32,
    broadcast_shape,
    derived,
    div255,
    round_int,
    sat_u8,
)
from hexconv.simulator.numerics.tables import look_up
from hexconv.simulator.registry import KernelCall, kernel

_COMPARE = {
    "QuantizedEqual_8": np.equal,
    "QuantizedNotEqual_8": np.not_equal,
    "QuantizedLess_8": np.less,
    "QuantizedLessEqual_8": np.less_equal,
    "QuantizedGreater_8": np.greater,
    "QuantizedGreaterEqual_8": np.greater_equal,
}


@derived
def value_table(low: float, high: float) -> Array:
    """The float as which each value is compared; scales below 0.0001 count as 0.0001."""
    step = max(F32(0.0001), div255(F32(F32(high) - F32(low))))
    return exact_steps(sat_u8(round_int(F32(-F32(low) / step))), step)


def forbid_single_zero(op: str, a: Array, b: Array) -> None:
    """Raise for a single value of 0: the library treats 0 as "not a single value".

    It then compares with what an earlier node left in its scratch memory (`compare_hvx_template`).
    Of two single values it takes the first one for the single one (`nn_check_prepare_hvx_opt`).
    """
    single = a if a.size == 1 else b
    if single.size == 1 and single.flat[0] == 0:
        raise GraphError(
            f"{op} with a single value that is quantized to 0",
            why="the library then compares with uninitialized scratch memory",
            hint="give the value another range, or repeat it to the full shape",
        )


@kernel(*_COMPARE)
def compare(call: KernelCall) -> list[Array]:
    """Values of one range are compared as integers, those of two ranges as floats."""
    a, b = call.inputs[:2]
    broadcast_shape(call.op, a, b)
    a_range, b_range = input_ranges(call)
    if a_range == b_range:
        forbid_single_zero(call.op, a, b)
    else:
        a, b = look_up(value_table(*a_range), a), look_up(value_table(*b_range), b)
    return [_COMPARE[call.op](a, b).view(np.uint8)]
