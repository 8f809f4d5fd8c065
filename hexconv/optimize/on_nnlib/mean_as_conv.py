"""The mean over depth as a convolution: 6.9 k packets against 114 k.

Source: docs/nnlib/costs.md#encoder.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder
from hexconv.nnlib.constraints import DEEPEST_CONVOLUTION
from hexconv.nnlib.graph import Graph, Node, Output, Padding, Ref
from hexconv.nnlib.ranges.found import FoundRanges
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import LARGEST_BIAS, QuantizedArray, Range, encode, symmetric
from hexconv.quantize.ranges import LEVELS

DEPTH = 3


@rewrite(Stage.NNLIB)
def mean_as_conv(graph: Graph) -> int:
    """QuantizedMean_8 over D is a 1x1 Supernode with weights 1/D: vectors instead of scalar C."""
    builder, found = Builder.on(graph), FoundRanges.of(graph)
    nodes: list[Node] = []
    count = 0
    for node in graph.nodes:
        if node.op == "QuantizedMean_8" and len(node.inputs) == 6 and _over_depth(node, builder):
            nodes += _convolution(node, builder, found)
            count += 1
        else:
            nodes.append(node)
    graph.nodes[:] = nodes
    return count


def _over_depth(node: Node, builder: Builder) -> bool:
    """Whether it is over depth alone, and no deeper than a convolution can be."""
    axes = builder.values(node.inputs[3])
    if axes is None or {int(a) % 4 for a in axes.reshape(-1)} != {DEPTH}:
        return False
    return builder.shape(node.inputs[0])[DEPTH] <= DEEPEST_CONVOLUTION


def _weights(depth: int) -> QuantizedArray:
    """1/depth, in as many levels as leave room in the accumulator for any mean."""
    array = np.full((1, 1, depth, 1), 1.0 / depth, np.float32)
    levels = min(127.0, LARGEST_BIAS // (LEVELS * depth))
    value_range = symmetric(-128.0 * float(array[0, 0, 0, 0]) / levels, 0.0)
    return QuantizedArray(encode(array, value_range), value_range)


def _convolution(node: Node, builder: Builder, found: FoundRanges) -> list[Node]:
    """The convolution; where a run decides how loud its input is, behind a floor for that."""
    data, low, high, _, out_low, out_high = node.inputs
    depth = builder.shape(data)[DEPTH]
    weights = _weights(depth)
    name = f"{node.name}/weights"
    before: list[Node] = []
    least = -found.scalars[out_low] / (weights.range.step * LARGEST_BIAS)
    if least > 0.0 and not isinstance(found.bound(high), float):
        refs = builder.floored((data, low, high), Range(least, 128).scaled(1.0), node.name)
        outputs = (Output(builder.shape(data), "uint8"), *RANGE_OUTPUTS)
        floor = builder.new_node("Select_8", refs, outputs, name=f"{node.name}/loud_enough")
        before.append(floor)
        data, low, high = (Ref(floor.id, port) for port in range(3))
    bias = builder.const(f"{node.name}/bias", np.zeros((1, 1, 1, 1), np.int32))
    inputs: tuple[Ref, ...] = (
        data,
        builder.const(name, weights.codes, weights.range),
        low,
        high,
        builder.scalar(f"{name}_min", weights.range.min),
        builder.scalar(f"{name}_max", weights.range.max),
        builder.extent(f"{node.name}/stride", 1, 1),
        bias,
        # The bias is zero: any range works, one of a power of two is exact.
        builder.scalar(f"{node.name}/bias_min", -1.0),
        builder.scalar(f"{node.name}/bias_max", 1.0),
        out_low,
        out_high,
    )
    conv = replace(node, op="Supernode_8x8p32to8", inputs=inputs, padding=Padding.VALID)
    return [*before, conv]
