"""Normalizations that are one node; the others are decomposed on the float graph."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import UnsupportedOpError
from hexconv.lowering.context import Context
from hexconv.lowering.conv_emitter import INT32_MAX, INT32_MIN
from hexconv.lowering.registry import lowers
from hexconv.lowering.relayout import gather_axes
from hexconv.nnlib.builder import Tensor
from hexconv.onnx_graph import NodeView
from hexconv.quantize import quantize_bias, quantize_weights

# Scales are multiplied by 128 before they meet the data, and the range's minimum is added to the
# offset (op_batchnorm_d32.c): 8 bits less than int32, and one to be safe.
LARGEST_OFFSET = 2.0**22


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
    shape = ctx.shape(source)
    order = [a for a in ctx.form(source).layout.order if shape[a] != 1 and a != 1]
    layout = gather_axes(shape, [*order, 1])
    tensor = ctx.take(source, layout)
    result = scaled_and_shifted(ctx, tensor, factor, bias - mean * factor, output)
    ctx.bind(output, layout, result)


@lowers("Affine")
def affine(node: NodeView, ctx: Context) -> None:
    """A factor and an addend per channel of the last axis (optimize/fusions/affine)."""
    source, output = node.input(0), node.outputs[0]
    factor, offset = (ctx.const(node.input(i)) for i in (1, 2))
    assert factor is not None and offset is not None  # the fusion made it so
    shape = ctx.shape(source)
    last = len(shape) - 1
    order = [a for a in ctx.form(source).layout.order if shape[a] != 1 and a != last]
    layout = gather_axes(shape, [*order, last])
    tensor = ctx.take(source, layout)
    result = scaled_and_shifted(ctx, tensor, factor.reshape(-1), offset.reshape(-1), output)
    ctx.bind(output, layout, result)


def scaled_and_shifted(
    ctx: Context, tensor: Tensor, factor: Array, offset: Array, name: str
) -> Tensor:
    """x * factor + offset per channel on D; factor and offset (D,) float."""
    value_range = ctx.range(name)
    scale = np.asarray(factor, np.float32).reshape(1, 1, 1, -1)
    quantized = quantize_weights(scale, offset, tensor.range.step, LARGEST_OFFSET)
    step = tensor.range.step * quantized.range.step
    reach = float(np.abs(offset).max(initial=0.0)) - value_range.min
    tensor = ctx.at_least(tensor, reach / (quantized.range.step * LARGEST_OFFSET), name)
    builder = ctx.builder
    scale_name, bias_name = f"{name}/scale", f"{name}/bias"
    bias = quantize_bias(np.asarray(offset, np.float32), step).reshape(1, 1, 1, -1)
    inputs = [
        tensor.data,
        builder.const(scale_name, quantized.codes, quantized.range),
        tensor.min,
        tensor.max,
        *builder.minmax(scale_name, quantized.range),
        builder.const(bias_name, bias),
        builder.scalar(f"{bias_name}_min", INT32_MIN * step),
        builder.scalar(f"{bias_name}_max", INT32_MAX * step),
        *builder.minmax(name, value_range),
    ]
    return builder.quantized(
        "QuantizedBatchNorm_8x8p32to8", inputs, tensor.shape, value_range, name=name
    )
