"""Sums of tensors times a factor for each channel: a depthwise convolution over all of them.

The tensors are rows of one image, the factors a kernel of one column. QuantizedConcat_8 copies
codes where all its ranges are one: each tensor's codes are taken for those of the first one's
range, and factors and biases make up for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.lowering import depthwise
from hexconv.lowering.channel_factors import Floats
from hexconv.lowering.channelwise import along_channels
from hexconv.lowering.context import Context
from hexconv.lowering.conv_emitter import ConvEmitter
from hexconv.lowering.registry import lowers
from hexconv.lowering.slice_concat import concatenated
from hexconv.lowering.window import Window
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range, cover

NARROW = 8.0
"""By how much the step of a constant may be below that of the coarsest tensor."""


@lowers("ChannelSum")
def channel_sum(node: NodeView, ctx: Context) -> None:
    """DepthwiseSupernode_8x8p32to8 over the tensors as rows (optimize/fusions/sums_by_channel)."""
    output, names = node.outputs[0], [node.input(i) for i in range(2, len(node.inputs))]
    given, addend = (ctx.const(node.input(place)) for place in (0, 1))
    assert given is not None and addend is not None  # the fusion made it so
    computed = next(name for name in names if ctx.const(name) is None)
    layout = along_channels(ctx, computed, len(ctx.shape(output)) - 1)
    terms = dict(zip(names, given.astype(np.float64), strict=True))
    tensors, factors = _rows(ctx, terms, layout, ctx.shape(output))
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


def _rows(
    ctx: Context, terms: Mapping[str, Floats], layout: Layout, shape: Sequence[int]
) -> tuple[list[Tensor], Floats]:
    """The tensors in that form, constants too, and the factors of each."""
    computed = {name: _row(ctx, name, layout) for name in terms if ctx.const(name) is None}
    steps = [_size(terms[name]) * tensor.range.step for name, tensor in computed.items()]
    rows: list[tuple[Tensor, Floats]] = []
    for name, factor in terms.items():
        array = ctx.const(name)
        if array is None:
            rows.append((computed[name], factor))
        else:
            packed = layout.pack(np.asarray(array, np.float64).reshape(shape))
            rows.append(_constant(ctx, name, packed, factor, max(steps) / NARROW))
    return [tensor for tensor, _ in rows], np.stack([factor for _, factor in rows])


def _constant(
    ctx: Context, name: str, array: Floats, factor: Floats, least: float
) -> tuple[Tensor, Floats]:
    """A constant whose channels all have the same levels, and the factor of each channel.

    Its step, times the factors, is `least` at least: weights of a smaller one would be coarse.
    """
    rows = array.reshape(-1, array.shape[-1])
    sizes = np.abs(rows).max(axis=0)
    sizes = np.where(sizes > 0.0, sizes, 1.0)
    rows, factor = rows / sizes, factor * sizes
    own = cover(float(rows.min()), float(rows.max()))
    wider = max(1.0, least / (own.step * _size(factor)))
    packed = rows.astype(np.float32).reshape(1, 1, *rows.shape)
    return ctx.const_tensor(name, packed, own.scaled(wider)), factor


def _size(factor: Floats) -> float:
    return float(np.median(np.abs(factor)))


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
