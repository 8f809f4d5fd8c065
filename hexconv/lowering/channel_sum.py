"""Sums of tensors times a factor for each channel: a depthwise convolution over all of them.

The tensors are rows of one image, the factors a kernel of one column. QuantizedConcat_8 copies
codes where all its ranges are one: each tensor's codes are taken for those of the first one's
range, and factors and biases make up for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.lowering import depthwise
from hexconv.lowering.channelwise import along_channels
from hexconv.lowering.context import Context
from hexconv.lowering.conv_emitter import ConvEmitter
from hexconv.lowering.registry import lowers
from hexconv.lowering.slice_concat import concatenated
from hexconv.lowering.window import Window
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range


@lowers("ChannelSum")
def channel_sum(node: NodeView, ctx: Context) -> None:
    """DepthwiseSupernode_8x8p32to8 over the tensors as rows (optimize/fusions/sums_by_channel)."""
    output, names = node.outputs[0], [node.input(i) for i in range(2, len(node.inputs))]
    factors, addend = (ctx.const(node.input(place)) for place in (0, 1))
    assert factors is not None and addend is not None  # the fusion made it so
    layout = along_channels(ctx, names[0], len(ctx.shape(output)) - 1)
    tensors = [_row(ctx, name, layout) for name in names]
    _, _, width, channels = tensors[0].shape
    kernel, bias = _of_one_range(factors, addend, [tensor.range for tensor in tensors])
    image = _stacked(ctx, tensors, f"{output}/rows")
    axes = [Window(len(names), len(names)), Window(width, 1)]
    form = kernel.reshape(len(names), 1, 1, channels)
    result = depthwise.lower(ConvEmitter(ctx, output, (1, width)), image, form, bias, axes)
    sizes = layout.shape(ctx.shape(output))
    if sizes != result.shape:
        result = ctx.reshaped(result, sizes, f"{output}/of_row")
    ctx.bind(output, layout, result)


def _row(ctx: Context, name: str, layout: Layout) -> Tensor:
    """A tensor as (1, 1, positions, channels)."""
    tensor = ctx.take(name, layout, static=True)
    sizes = 1, 1, prod(tensor.shape[:3]), tensor.shape[3]
    return tensor if tensor.shape == sizes else ctx.reshaped(tensor, sizes, f"{name}/row")


def _of_one_range(
    factors: Array, addend: Array, ranges: Sequence[Range]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Factors (tensors, channels) and addend of codes that are taken for those of the first range.

    (q - zero) step is (q - first zero) step, and the difference of the zeros.
    """
    kernel, bias, first = factors.astype(np.float64), addend.astype(np.float64), ranges[0]
    for number, own in enumerate(ranges):
        bias = bias + kernel[number] * (first.zero - own.zero) * own.step
        kernel[number] *= own.step / first.step
    return kernel.astype(np.float32), bias.astype(np.float32)


def _stacked(ctx: Context, tensors: Sequence[Tensor], name: str) -> Tensor:
    """The codes of all tensors, one below the other."""
    first = tensors[0]
    alike = [replace(t, min=first.min, max=first.max, range=first.range) for t in tensors]
    shape = 1, len(tensors), *first.shape[2:]
    image = concatenated(ctx, alike, 1, shape, first.range, name)
    ctx.builder.mark_by_levels(image)
    return image
