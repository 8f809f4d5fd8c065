"""Average and Lp pools that the library's own pools do not cover."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.lowering.window import Window, windows
from hexconv.onnx_graph import NodeView
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("AveragePool")
def average_pool(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """A depthwise convolution with equal weights, then a factor where divisors differ.

    Windows inside the input stay a pool; a single one is a ReduceMean.
    """
    source = node.inputs[0]
    axes, counts = pool_windows(node)
    assert source is not None
    plain = all(axis.dilation == 1 for axis in axes)
    if plain and all(map(_inside, axes, counts)):
        if max(counts) > 1:
            return None
        return [_mean(builder, source, axes, str(node.name))]
    include = node.attributes.get("count_include_pad")
    padding_counts = include is not None and include.as_int() != 0
    area = prod(axis.kernel for axis in axes)
    sums = windowed_sum(builder, source, axes, counts, 1.0 / area)
    divisors = np.ones((), np.float32)
    for axis, count in zip(axes, counts, strict=True):
        divisors = np.multiply.outer(divisors, _divisors(axis, count, padding_counts))
    if bool((divisors == area).all()):
        return [sums]
    factors = (area / divisors).astype(np.float32)
    return [builder.op("Mul", [sums, factors], name=str(node.name))]


def pool_windows(node: ir.Node) -> tuple[list[Window], list[int]]:
    """The windows of a pool, one per spatial axis, and how many there are."""
    kernel = [int(size) for size in node.attributes["kernel_shape"].as_ints()]
    axes = windows(NodeView(node), shape_of(node.inputs[0])[2:], kernel)
    return axes, list(shape_of(node.outputs[0])[2:])


def windowed_sum(
    builder: FloatBuilder,
    source: ir.Value,
    axes: Sequence[Window],
    counts: Sequence[int],
    weight: float,
) -> ir.Value:
    """`weight` times the sum over each window, zeros around: a depthwise convolution."""
    channels = shape_of(source)[1]
    kernel = np.full((channels, 1, *(axis.kernel for axis in axes)), weight, np.float32)
    after = [
        max((n - 1) * axis.stride + axis.extent - axis.size - axis.before, 0)
        for axis, n in zip(axes, counts, strict=True)
    ]
    attrs = {
        "group": channels,
        "strides": [axis.stride for axis in axes],
        "dilations": [axis.dilation for axis in axes],
        "pads": [*(axis.before for axis in axes), *after],
    }
    return builder.op("Conv", [source, kernel], attrs)


def _inside(axis: Window, count: int) -> bool:
    return axis.before == 0 and (count - 1) * axis.stride + axis.extent <= axis.size


def _mean(builder: FloatBuilder, source: ir.Value, axes: Sequence[Window], name: str) -> ir.Value:
    spatial = np.arange(2, 2 + len(axes), dtype=np.int64)
    if any(axis.kernel < axis.size for axis in axes):
        ends = np.array([axis.kernel for axis in axes], np.int64)
        source = builder.op("Slice", [source, np.zeros_like(ends), ends, spatial])
    return builder.op("ReduceMean", [source, spatial], {"keepdims": 1}, name=name)


def _divisors(axis: Window, count: int, padding_counts: bool) -> npt.NDArray[np.float32]:
    """How many of each window's taps count (ONNX AveragePool): never those that ceil_mode adds."""
    low = -axis.before if padding_counts else 0
    high = axis.size + (axis.after if padding_counts else 0)
    taps = np.arange(axis.kernel) * axis.dilation - axis.before
    places = np.arange(count)[:, None] * axis.stride + taps
    counted: npt.NDArray[np.float32] = (
        ((places >= low) & (places < high)).sum(axis=1).astype(np.float32)
    )
    return counted
