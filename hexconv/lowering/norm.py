"""Normalizations that are one node; the others are decomposed on the float graph."""

from __future__ import annotations

import numpy as np

from hexconv.errors import UnsupportedOpError
from hexconv.lowering.channelwise import along_channels, scaled_and_shifted
from hexconv.lowering.context import Context
from hexconv.lowering.registry import lowers
from hexconv.onnx_graph import NodeView


@lowers("BatchNormalization")
def batch_norm(node: NodeView, ctx: Context) -> None:
    """QuantizedBatchNorm_8x8p32to8 with the statistics folded into scale and bias."""
    source, output = node.input(0), node.outputs[0]
    if int(node.attr("training_mode", 0)):
        raise UnsupportedOpError(
            "BatchNormalization in training mode", hint="export the model in eval mode"
        )
    node.done("momentum", "spatial")
    values = [ctx.const(node.input(i)) for i in range(1, 5)]
    if any(value is None for value in values):
        raise UnsupportedOpError("statistics that are computed", hint="make them initializers")
    scale, bias, mean, variance = (np.asarray(v, np.float64) for v in values)
    factor = scale / np.sqrt(variance + float(node.attr("epsilon", 1e-5)))
    layout = along_channels(ctx, source, 1)
    tensor = ctx.take(source, layout)
    result = scaled_and_shifted(ctx, tensor, factor, bias - mean * factor, output)
    ctx.bind(output, layout, result)


@lowers("Affine")
def affine(node: NodeView, ctx: Context) -> None:
    """A factor and an addend for each channel of an axis (optimize/fusions/affine)."""
    source, output = node.input(0), node.outputs[0]
    factor, offset, center = (ctx.const(node.input(i)) for i in (1, 2, 3))
    assert factor is not None and offset is not None and center is not None  # the fusion's
    layout = along_channels(ctx, source, int(node.attr("axis", 1)))
    tensor = ctx.take(source, layout)
    result = scaled_and_shifted(ctx, tensor, factor, offset, output, center)
    ctx.bind(output, layout, result)
