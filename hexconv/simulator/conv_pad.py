"""`QuantizedPadForConv`: the padding of a kernel too wide for what the d32 layout has around it."""

from __future__ import annotations

import numpy as np

from hexconv.nnlib.graph import Array
from hexconv.simulator.conv import Plan
from hexconv.simulator.fixed_point import F32, as_range, round_int, sat_u8
from hexconv.simulator.patches import padded
from hexconv.simulator.registry import Call, kernel
from hexconv.simulator.window import plan_axis


@kernel("QuantizedPadForConv_8_d32")
def pad_for_conv(call: Call) -> list[Array]:
    """Pad as the convolution that follows would, so that it can run with VALID padding.

    Inputs x, min, max, weights, stride (shape); only the sizes of the last two are read.
    Source: ops/src/op_pad_d32.c.
    """
    x, weights, stride = call.inputs[0], call.inputs[3].shape, call.inputs[4].shape
    low, high = call.scalar(1), call.scalar(2)
    zero = sat_u8(round_int(F32(F32(F32(255) * F32(-low)) / F32(high - low))))
    plan = Plan(
        rows=plan_axis(x.shape[1], weights[0], stride[1], call.padding, call.op),
        columns=plan_axis(x.shape[2], weights[1], stride[2], call.padding, call.op),
    )
    data = padded(x.astype(np.uint8), plan.rows, plan.columns, zero)
    return [data, *as_range(low, high)]
