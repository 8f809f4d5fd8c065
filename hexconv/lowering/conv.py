"""Conv and ConvTranspose, 1-D and 2-D, in the form that the library computes exactly.

Everything is laid out as BHWD; a 1-D signal is laid out along W with H = 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hexconv.annotations import notes_of
from hexconv.arrays import Array
from hexconv.errors import UnsupportedOpError
from hexconv.lowering import depthwise
from hexconv.lowering.context import Context
from hexconv.lowering.conv_emitter import ConvEmitter
from hexconv.lowering.registry import lowers
from hexconv.lowering.window import Window, too_wide, windows
from hexconv.nnlib.layout import Layout
from hexconv.onnx_graph import NodeView

SWAPPED = Layout(((0,), (3,), (2,), (1,)))
KERNEL_ON_H = Layout(((0,), (2,), (), (1,)))


@lowers("Conv")
def conv(node: NodeView, ctx: Context) -> None:
    """Supernode, DepthwiseSupernode, DilatedConv2d or GroupedConv2d, by what each supports."""
    source, output = node.input(0), node.outputs[0]
    weights, bias = constants(node, ctx, outputs_axis=0)
    group = int(node.attr("group", 1))
    shape = ctx.shape(source)
    _check_kernel(node, weights.shape[2:])
    if group < 1 or shape[1] != weights.shape[1] * group or weights.shape[0] % group:
        raise UnsupportedOpError(f"{shape[1]} channels, weights {weights.shape} and {group} groups")
    axes = windows(node, shape[2:], weights.shape[2:])
    if len(axes) == 1:
        axes = [Window(1, 1), *axes]
        weights = weights[:, :, None, :]
    layout = Layout.channels_last(len(shape))
    alone = group == shape[1] != 1
    dense = not alone or not depthwise.runs(axes, weights.shape[0] // group)
    if notes_of(node.node).time_on_w or (dense and too_wide(axes)):
        layout, axes = (SWAPPED if len(shape) == 4 else KERNEL_ON_H), axes[::-1]
        weights = weights.transpose(0, 1, 3, 2)
    tensor = ctx.take(source, layout)
    counts = [axis.outputs() for axis in axes]
    kernel = weights.transpose(2, 3, 1, 0)  # HWIO
    emitter = ConvEmitter(ctx, output, counts)
    if group == 1:
        result = emitter.dense(tensor, kernel, bias, axes)
    elif group == shape[1]:
        result = depthwise.lower(emitter, tensor, kernel, bias, axes)
    else:
        result = emitter.grouped(tensor, kernel, bias, axes, group)
    ctx.bind(output, layout, result)


@lowers("ConvTranspose")
def conv_transpose(node: NodeView, ctx: Context) -> None:
    """QuantizedTransposeConv2d: weights OHWI, the pads as a const."""
    source, output = node.input(0), node.outputs[0]
    weights, bias = constants(node, ctx, outputs_axis=1)
    group = int(node.attr("group", 1))
    rank = weights.ndim - 2
    shape, result = ctx.shape(source), ctx.shape(output)
    _check_kernel(node, weights.shape[2:])
    if shape[1] != weights.shape[0] or shape[1] % group:
        raise UnsupportedOpError(f"{shape[1]} channels, weights {weights.shape} and {group} groups")
    strides = list(node.attr("strides", [1] * rank))
    dilations = list(node.attr("dilations", [1] * rank))
    weights = dilate(weights, dilations)
    pads = transposed_pads(node, shape[2:], result[2:], weights.shape[2:], strides)
    weights = dense_groups(weights, group)
    if rank == 1:
        weights, strides = weights[:, :, None, :], [1, *strides]
        pads = [0, pads[0], 0, pads[1]]
    layout = Layout.channels_last(len(shape))
    tensor = ctx.take(source, layout)
    emitter = ConvEmitter(ctx, output, [layout.shape(result)[1], layout.shape(result)[2]])
    ctx.bind(output, layout, emitter.transposed(tensor, weights, bias, strides, pads))


def constants(node: NodeView, ctx: Context, *, outputs_axis: int) -> tuple[Array, Array]:
    """(weights, bias) of a convolution; a missing bias is zero."""
    weights = ctx.const(node.input(1))
    if weights is None:
        raise UnsupportedOpError(
            "weights that are computed at run time",
            why="the library packs them once, when it prepares the graph",
            hint="make them an initializer",
        )
    if weights.ndim not in (3, 4):
        raise UnsupportedOpError(
            f"a {weights.ndim - 2}-D convolution", why="the library has 1-D and 2-D only"
        )
    weights = np.asarray(weights, np.float32)
    count = weights.shape[outputs_axis] * (int(node.attr("group", 1)) if outputs_axis == 1 else 1)
    if not node.has(2):
        return weights, np.zeros(count, np.float32)
    bias = ctx.const(node.input(2))
    if bias is None:
        raise UnsupportedOpError(
            "a bias that is computed at run time", hint="add it with an Add node"
        )
    return weights, np.asarray(bias, np.float32)


def _check_kernel(node: NodeView, kernel: Sequence[int]) -> None:
    declared = node.attr("kernel_shape", None)
    if declared is not None and list(declared) != list(kernel):
        raise UnsupportedOpError(f"kernel_shape {list(declared)} with weights of {list(kernel)}")


def dilate(weights: Array, dilations: Sequence[int]) -> Array:
    """The same kernel with zeros between its taps: (O, I, spatial...)."""
    if all(d == 1 for d in dilations):
        return weights
    spatial = [(k - 1) * d + 1 for k, d in zip(weights.shape[2:], dilations, strict=True)]
    dense = np.zeros((*weights.shape[:2], *spatial), np.float32)
    taps = (slice(None), slice(None), *(slice(None, None, d) for d in dilations))
    dense[taps] = weights
    return dense


def dense_groups(weights: Array, group: int) -> Array:
    """A grouped transposed kernel (Cin, Cout/g, ...) as a block-diagonal (Cin, Cout, ...)."""
    if group == 1:
        return weights
    cin, per = weights.shape[:2]
    dense = np.zeros((cin, per * group, *weights.shape[2:]), np.float32)
    step = cin // group
    for g in range(group):
        rows = slice(g * step, (g + 1) * step)
        dense[rows, g * per : (g + 1) * per] = weights[rows]
    return dense


def transposed_pads(
    node: NodeView,
    sizes: Sequence[int],
    result: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
) -> list[int]:
    """Cropped elements (before..., after...) of a transposed convolution, from its output shape.

    full = (size - 1) * stride + kernel is what the taps reach; ONNX keeps `result` of it from
    `before` on. output_padding makes `after` smaller, and may make it negative.
    """
    rank = len(kernel)
    pads = list(node.attr("pads", [0] * (2 * rank)))
    auto = str(node.attr("auto_pad", "NOTSET"))
    node.done("output_padding", "output_shape")
    before, after = [], []
    for axis in range(rank):
        full = (sizes[axis] - 1) * strides[axis] + kernel[axis]
        start = pads[axis]
        if auto.startswith("SAME") or node.attr("output_shape", None) is not None:
            # ONNX: more of an odd total goes before, except for SAME_UPPER.
            total = max(full - result[axis], 0)
            start = total // 2 if auto == "SAME_UPPER" else total - total // 2
        before.append(start)
        after.append(full - start - result[axis])
    return before + after
