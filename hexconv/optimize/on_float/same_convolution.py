"""Convolutions that keep the sizes of their input, as kernels that can be merged.

Around the center tap of each, kernels of any size and dilation are on one grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.nnlib.constraints import WIDEST_KERNEL
from hexconv.nnlib.layout import Shape4
from hexconv.onnx_graph import NodeView
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.optimize.on_nnlib.dilated_by_phases import Sizes, cheapest
from hexconv.optimize.price import Prices

LIKE = 2.0
"""Kernels whose largest weights differ by more would cost the smaller one 1 of its 8 bits."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """A convolution of stride 1 that pads as much as it reaches, the same on both sides.

    Args:
        weights: (outputs, inputs, taps of one or two axes), odd numbers of taps.
        bias: (outputs,).
        dilation: of each axis.
    """

    weights: Array
    bias: Array
    dilation: tuple[int, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        """From the center tap to the last one, in grid positions."""
        taps = self.weights.shape[2:]
        return tuple((k - 1) // 2 * d for k, d in zip(taps, self.dilation, strict=True))

    @property
    def runs(self) -> bool:
        """Whether the library computes a kernel of this width correctly."""
        return int(self.weights.shape[-1]) <= WIDEST_KERNEL

    def put(self, source: ir.Value, builder: FloatBuilder) -> ir.Value:
        """The convolution as a node."""
        attrs = {"dilations": list(self.dilation), "pads": [*self.reach, *self.reach]}
        return builder.op("Conv", [source, self.weights, self.bias], attrs)

    def price(self, shape: Sequence[int], prices: Prices) -> float:
        """Of its cheapest form, for an input of shape (N, C, one or two axes)."""
        taps = _plane(self.weights.shape[2:])
        sizes = bhwd(shape, int(self.weights.shape[1]))
        return cheapest(Sizes(sizes, taps, self.bias.size, _plane(self.dilation)), prices)[0]


def kernel_of(node: ir.Node | None) -> Kernel | None:
    """The kernel of a node; None if it is no convolution of this kind."""
    if node is None or node.op_type != "Conv" or node.domain:
        return None
    weights, bias = array_of(node.inputs[1]), None
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = array_of(node.inputs[2])
        if bias is None:
            return None
    if weights is None or array_of(node.inputs[0]) is not None or weights.ndim not in (3, 4):
        return None
    axes, view = weights.ndim - 2, NodeView(node)
    dilation = tuple(int(d) for d in view.attr("dilations", [1] * axes))
    zeros = np.zeros(weights.shape[0], np.float32)
    kernel = Kernel(weights, zeros if bias is None else bias, dilation)
    same = (
        all(k % 2 for k in weights.shape[2:])
        and list(view.attr("strides", [1] * axes)) == [1] * axes
        and int(view.attr("group", 1)) == 1
        and str(view.attr("auto_pad", "NOTSET")) == "NOTSET"
        and tuple(view.attr("pads", [0] * (2 * axes))) == kernel.reach * 2
    )
    return kernel if same else None


def same_params(kernels: Sequence[Kernel]) -> bool:
    """Whether one range suits the weights of all."""
    largest = [float(np.abs(kernel.weights).max()) for kernel in kernels]
    return max(largest) <= LIKE * min(largest)


def added(kernels: Sequence[Kernel], slots: Sequence[int]) -> Kernel:
    """One kernel for the sum of all, over their concatenated inputs.

    Args:
        kernels: of equal outputs.
        slots: the position of each one's input among the concatenated ones; equal inputs, with
            equal positions, occur once.
    """
    grid, taps = _grid(kernels)
    inputs = dict(zip(slots, (int(kernel.weights.shape[1]) for kernel in kernels), strict=True))
    starts = {slot: sum(n for at, n in inputs.items() if at < slot) for slot in inputs}
    whole = np.zeros((kernels[0].bias.size, sum(inputs.values()), *taps), np.float32)
    for kernel, slot in zip(kernels, slots, strict=True):
        part = whole[:, starts[slot] : starts[slot] + inputs[slot]]
        part[_taps(kernel, grid, taps)] += kernel.weights
    return Kernel(whole, np.sum([kernel.bias for kernel in kernels], 0), grid)


def stacked(kernels: Sequence[Kernel]) -> Kernel:
    """One kernel that computes all outputs, concatenated, from their common input."""
    grid, taps = _grid(kernels)
    parts = []
    for kernel in kernels:
        part = np.zeros((*kernel.weights.shape[:2], *taps), np.float32)
        part[_taps(kernel, grid, taps)] = kernel.weights
        parts.append(part)
    return Kernel(np.concatenate(parts), np.concatenate([k.bias for k in kernels]), grid)


def identity(channels: int, count: int, axes: int) -> Kernel:
    """The sum of `count` concatenated tensors."""
    weights = np.tile(np.eye(channels, dtype=np.float32), (1, count))
    spatial = (1,) * axes
    bias = np.zeros(channels, np.float32)
    return Kernel(weights.reshape(*weights.shape, *spatial), bias, spatial)


def bhwd(shape: Sequence[int], channels: int) -> Shape4:
    """(N, C, one or two axes) in the library's layout, with another number of channels."""
    return shape[0], *_plane(shape[2:]), channels


def concat_price(shapes: Sequence[Shape4], prices: Prices) -> float:
    """Of the Concat of tensors in depth; nothing for a single one."""
    if len(shapes) == 1:
        return 0.0
    b, h, w, _ = shapes[0]
    return prices.in_d32("QuantizedConcat_8", shapes, (b, h, w, sum(s[3] for s in shapes)))


def add_price(shape: Shape4, prices: Prices) -> float:
    """Of one addition of two tensors."""
    return prices.in_d32("QuantizedAdd_8p8to8", [shape, shape], shape)


def same_shape_sum(node: ir.Node | None) -> bool:
    """Whether a node adds tensors of its own shape."""
    if node is None or node.domain or node.op_type not in ("Add", "Sum"):
        return False
    shape = shape_of(node.outputs[0])
    return len(shape) in (3, 4) and all(
        value is not None and array_of(value) is None and shape_of(value) == shape
        for value in node.inputs
    )


def _plane(sizes: Sequence[int]) -> tuple[int, int]:
    """One or two axes as H and W: a single one is laid out along W."""
    return (int(sizes[0]) if len(sizes) > 1 else 1), int(sizes[-1])


def _grid(kernels: Sequence[Kernel]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The dilation of the common grid of all taps, and how many grid positions they span."""
    grid, taps = [], []
    for axis in range(len(kernels[0].dilation)):
        moving = [kernel for kernel in kernels if kernel.weights.shape[2 + axis] > 1]
        step = gcd(*(kernel.dilation[axis] for kernel in moving)) or 1
        grid.append(step)
        taps.append(2 * (max(kernel.reach[axis] for kernel in kernels) // step) + 1)
    return tuple(grid), tuple(taps)


def _taps(kernel: Kernel, grid: Sequence[int], taps: Sequence[int]) -> tuple[Any, ...]:
    """The positions of a kernel's taps on the grid."""
    places: list[Any] = [slice(None), slice(None)]
    for axis, (step, count) in enumerate(zip(grid, taps, strict=True)):
        stride = max(kernel.dilation[axis] // step, 1)
        reach = kernel.reach[axis] // step
        middle = count // 2
        places.append(slice(middle - reach, middle + reach + 1, stride))
    return tuple(places)
