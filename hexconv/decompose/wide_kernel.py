"""Convolutions whose kernel has more columns and rows than the library computes."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.lowering.window import windows
from hexconv.nnlib.constraints import WIDEST_KERNEL
from hexconv.onnx_graph import NodeView
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("Conv")
def wide_kernel(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """A convolution over blocks of pixels: SpaceToDepth, then a kernel of as many blocks.

    Strides, kernel and padding are whole blocks, as in the patches of a ViT-B/32.
    """
    source, weights = node.inputs[0], array_of(node.inputs[1])
    if source is None or weights is None or weights.ndim != 4:
        return None
    view = NodeView(node)
    if min(weights.shape[2:]) <= WIDEST_KERNEL or int(view.attr("group", 1)) != 1:
        return None
    axes = windows(view, shape_of(source)[2:], weights.shape[2:])
    numbers = [n for a in axes for n in (a.size, a.kernel, a.stride, a.before, a.after)]
    block = _block(gcd(*numbers), min(weights.shape[2:]))
    if block is None or any(axis.dilation > 1 for axis in axes):
        return None
    blocks = builder.op("SpaceToDepth", [source], {"blocksize": block})
    attrs = {
        "strides": [axis.stride // block for axis in axes],
        "pads": [pad // block for pad in (*(a.before for a in axes), *(a.after for a in axes))],
    }
    operands = [blocks, _by_blocks(weights, block), *node.inputs[2:]]
    return [builder.op("Conv", operands, attrs, name=str(node.name))]


def _block(common: int, narrower: int) -> int | None:
    """The smallest block that divides everything and leaves a kernel that the library computes."""
    fitting = (size for size in range(2, common + 1) if common % size == 0)
    return next((size for size in fitting if narrower // size <= WIDEST_KERNEL), None)


def _by_blocks(weights: Array, block: int) -> Array:
    """(O, I, H, W) as (O, block block I, H / block, W / block), channels as SpaceToDepth has."""
    outputs, inputs, height, width = weights.shape
    split = weights.reshape(outputs, inputs, height // block, block, width // block, block)
    moved: Array = split.transpose(0, 3, 5, 1, 2, 4)
    return np.ascontiguousarray(
        moved.reshape(outputs, block * block * inputs, height // block, width // block)
    )
