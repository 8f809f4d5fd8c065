"""A factor and an addend for each channel: one BatchNorm, or a depthwise convolution of width 1.

BatchNorm has a largest width, and one scale for all factors. Where a large factor meets small data,
or a clip behind it lets little through, half a level of the largest is more than a level of the
result for channels with small ones. The weights of a convolution have a scale for each channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hexconv.arrays import Array
from hexconv.lowering import depthwise
from hexconv.lowering.context import Context
from hexconv.lowering.conv_emitter import INT32_MAX, INT32_MIN, ConvEmitter
from hexconv.lowering.range_limits import is_narrow
from hexconv.lowering.relayout import gather_axes
from hexconv.lowering.window import Window
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.constraints import WIDEST_BATCH_NORM
from hexconv.nnlib.layout import Layout
from hexconv.quantize import Range, quantize_bias, quantize_weights

# Scales are multiplied by 128 before they meet the data, and the range's minimum is added to the
# offset (op_batchnorm_d32.c): 8 bits less than int32, and one to be safe.
LARGEST_OFFSET = 2.0**22
COARSE, COARSE_AROUND = 4.0, 64.0
"""Levels of the result that a level of the factors is worth, on the largest data, from which on
each channel has a scale of its own; and of data that lie about other centers than 0."""


def along_channels(ctx: Context, source: str, axis: int) -> Layout:
    """A layout with the channels on D, the other axes in their present order."""
    shape = ctx.shape(source)
    order = [a for a in ctx.form(source).layout.order if shape[a] != 1 and a != axis]
    return gather_axes(shape, [*order, axis])


def coarse(ctx: Context, tensor: Tensor, factor: Array, name: str, limit: float = COARSE) -> bool:
    """Whether one scale for all factors loses more than rounding the result `name` does."""
    sizes = np.abs(np.asarray(factor, np.float64)).reshape(-1)
    largest = max(-tensor.range.min, tensor.range.max)
    levels = float(sizes.max(initial=0.0)) * largest / (255.0 * ctx.range(name).step)
    return ctx.channel_scales and levels > limit and bool((sizes < sizes.max() / 2.0).any())


def scaled_and_shifted(
    ctx: Context,
    tensor: Tensor,
    factor: Array,
    offset: Array,
    name: str,
    center: Array | None = None,
) -> Tensor:
    """x * factor + offset per channel on D.

    Args:
        ctx: the conversion.
        tensor: x.
        factor: (D,) float.
        offset: (D,) float.
        name: of the result.
        center: (D,) float, about which the data of each channel lie: what rounding a factor
            changes there, its offset makes up for.
    """
    limit = COARSE if center is None or not center.any() else COARSE_AROUND
    wide = tensor.shape[2] > WIDEST_BATCH_NORM
    if wide or is_narrow(ctx.range(name)) or coarse(ctx, tensor, factor, name, limit):
        return scaled_by_channel(ctx, tensor, factor, offset, name)
    return _batch_norm(ctx, tensor, factor, offset, name, center)


def scaled_by_channel(
    ctx: Context, tensor: Tensor, factor: Array, offset: Array, name: str
) -> Tensor:
    """As `scaled_and_shifted`, each factor in a scale of its own."""
    sizes: Sequence[int] = tensor.shape[1:3]
    kernel = np.asarray(factor, np.float32).reshape(1, 1, 1, -1)
    axes = [Window(size, 1) for size in sizes]
    bias = np.asarray(offset, np.float32)
    return depthwise.lower(ConvEmitter(ctx, name, sizes), tensor, kernel, bias, axes)


def multiplied(ctx: Context, source: str, factors: Array | None, output: str) -> bool:
    """Emit `source` times a constant for each channel where one scale for all would be coarse.

    Returns:
        Whether it did: the factors vary along one axis, and lose more than the result's rounding.
    """
    shape = ctx.shape(output)
    if factors is None or ctx.const(source) is not None or ctx.shape(source) != shape:
        return False
    sizes = (1,) * (len(shape) - factors.ndim) + factors.shape
    along = [axis for axis, size in enumerate(sizes) if size > 1]
    if len(along) != 1 or not coarse(ctx, ctx.form(source).tensor, factors, output):
        return False
    layout = along_channels(ctx, source, along[0])
    tensor, factor = ctx.take(source, layout), factors.reshape(-1)
    result = scaled_by_channel(ctx, tensor, factor, np.zeros(factor.size), output)
    ctx.bind(output, layout, result)
    return True


def _batch_norm(
    ctx: Context,
    tensor: Tensor,
    factor: Array,
    offset: Array,
    name: str,
    center: Array | None,
) -> Tensor:
    value_range = ctx.range(name)
    scale = np.asarray(factor, np.float32).reshape(1, 1, 1, -1)
    quantized = quantize_weights(
        scale, _reach(offset, value_range), tensor.range.step, LARGEST_OFFSET
    )
    if center is not None:
        codes = quantized.codes.reshape(-1).astype(np.float64) - quantized.range.zero
        offset = offset + center * (factor - codes * quantized.range.step)
    step = tensor.range.step * quantized.range.step
    reach = _reach(offset, value_range)
    tensor = ctx.at_least(tensor, float(reach) / (quantized.range.step * LARGEST_OFFSET), name)
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


def _reach(offset: Array, value_range: Range) -> Array:
    """What LARGEST_OFFSET products of the scales have to reach: the offset, less the minimum.

    At least two levels of the result: a ratio of scales below 2^-29 has no factor in the library.
    """
    largest = float(np.abs(offset).max(initial=0.0)) - value_range.min
    return np.asarray(max(largest, 2.0 * value_range.step))
