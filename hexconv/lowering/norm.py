"""Normalizations that are one node; the others are decomposed on the float graph."""

from __future__ import annotations

from hexconv.errors import UnsupportedOpError
from hexconv.lowering.channel_factors import channel_factors
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
    found = channel_factors(node)
    if found is None:
        raise UnsupportedOpError("statistics that are computed", hint="make them initializers")
    layout = along_channels(ctx, source, 1)
    tensor = ctx.take(source, layout)
    result = scaled_and_shifted(ctx, tensor, *found, output)
    ctx.bind(output, layout, result)


@lowers("Affine")
def affine(node: NodeView, ctx: Context) -> None:
    """A factor and an addend for each channel of an axis (optimize/fusions/affine)."""
    source, output = node.input(0), node.outputs[0]
    found, center = channel_factors(node), ctx.const(node.input(3))
    assert found is not None and center is not None  # the fusion made it so
    layout = along_channels(ctx, source, int(node.attr("axis", 1)))
    tensor = ctx.take(source, layout)
    result = scaled_and_shifted(ctx, tensor, *found, output, center)
    ctx.bind(output, layout, result)
