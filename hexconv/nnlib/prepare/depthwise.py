"""Depthwise convolutions that are equivalent to another op."""

from __future__ import annotations

import numpy as np

from hexconv.nnlib.graph import Padding
from hexconv.nnlib.prepare.mutable_graph import Op, Work


def convert(work: Work, op: Op) -> list[Op] | None:
    """1x1 with stride 1 becomes Mul, one input channel a plain convolution.

    prepare.c do_convert_insane_dwise.
    """
    if op.op != "QuantizedDepthwiseConv2d_8x8to32":
        return None
    weights, stride = work.array(op.inputs[1]), work.array(op.inputs[6])
    if weights is None or stride is None:
        return None
    kh, kw, channels, multiplier = weights.shape
    if (kh, kw, multiplier) == (1, 1, 1) and stride.shape[1:3] == (1, 1):
        factor = work.const(np.ascontiguousarray(weights.reshape(1, 1, 1, -1)), f"{op.name}/factor")
        inputs = [op.inputs[0], factor, *op.inputs[2:6]]
        outputs = op.outputs[:3]
        return [work.make("", "QuantizedMul_8x8to32", inputs, outputs, Padding.NA, like=op)]
    if channels == 1:
        inputs = op.inputs[:7]
        return [
            work.make("", "QuantizedConv2d_8x8to32", inputs, op.outputs[:3], op.padding, like=op)
        ]
    return None


def run(work: Work) -> None:
    """Apply to every node."""
    if any(op.op == "QuantizedDepthwiseConv2d_8x8to32" for op in work.ops):
        work.rewrite(convert)
