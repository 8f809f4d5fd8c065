"""Sums that are a convolution of width 1 over depth: depthwise over rows instead.

A dense convolution that adds up n tensors multiplies every channel with every other, by zero. With
the tensors as n rows of one, a depthwise convolution of n rows multiplies each only with its
weight. Of the widths that it supports, 7 leaves d32 rows that a following activation reads
correctly (nnlib/prepare/left_padding); nodes that need more left padding keep the dense form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.builder import Builder
from hexconv.nnlib.graph import Graph, Node, Output, Padding, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.prepare import prepare
from hexconv.nnlib.prepare.left_padding import shifted
from hexconv.optimize.price import Prices
from hexconv.optimize.registry import Stage, rewrite

DENSE, DEPTHWISE = "Supernode_8x8p32to8", "DepthwiseSupernode_8x8p32to8"
CONCAT, DEPTH, ROWS = "QuantizedConcat_8", 3, 1
WIDTH = 7


@rewrite(Stage.NNLIB, priced=True)
def sums_by_rows(graph: Graph, prices: Prices) -> int:
    """A sum over depth is a depthwise convolution over rows: no channel is multiplied by zero."""
    builder = Builder.on(graph)
    concats = {node.id: node for node in graph.nodes if node.op == CONCAT}
    count = 0
    for node in list(graph.nodes) if concats else []:
        found = _sum(builder, node, concats)
        if found is None or not found.cheaper(prices):
            continue
        if len(graph.consumers().get(Ref(found.concat.id), [])) > 1:
            continue
        before = list(graph.nodes)
        for own, other in found.by_rows(builder):
            graph.nodes[graph.nodes.index(own)] = other
        if any(shifted(prepare(graph))):
            graph.nodes[:] = before
        else:
            count += 1
    return count


@dataclass(frozen=True)
class RowSum:
    """A Concat along depth and the convolution after it; weights (parts, channels), uint8."""

    concat: Node
    conv: Node
    weights: Array
    zero: int

    @property
    def rows(self) -> Shape4:
        """Sizes of the tensors stacked as rows."""
        b, _, w, depth = self.conv.outputs[0].shape
        return b, len(self.weights), w, depth

    def cheaper(self, prices: Prices) -> bool:
        """Whether rows are."""
        deep, result = self.concat.outputs[0].shape, self.conv.outputs[0].shape
        parts, channels = self.weights.shape
        bias: Shape4 = (1, 1, 1, channels)
        dense = prices.in_d32(DENSE, [deep, (1, 1, deep[3], channels), bias], result)
        rows: Shape4 = (parts, WIDTH, channels, 1)
        return dense > prices.in_d32(DEPTHWISE, [self.rows, rows, bias], result)

    def by_rows(self, builder: Builder) -> tuple[tuple[Node, Node], tuple[Node, Node]]:
        """Both nodes, and what each becomes."""
        name, (parts, channels) = self.conv.name, self.weights.shape
        axis = builder.ints(f"{name}/axis", [ROWS])
        codes = np.full((parts, WIDTH, channels, 1), self.zero, np.uint8)
        codes[:, WIDTH // 2, :, 0] = self.weights
        inputs = list(self.conv.inputs)
        inputs[1] = builder.const(f"{name}/rows", codes)
        inputs[6] = builder.extent(f"{name}/stride", parts, 1)
        concat = replace(
            self.concat,
            inputs=(axis, *self.concat.inputs[1:]),
            outputs=(Output(self.rows, "uint8"), *self.concat.outputs[1:]),
            origin=None,
        )
        conv = replace(self.conv, op=DEPTHWISE, inputs=tuple(inputs), padding=Padding.SAME)
        return (self.concat, concat), (self.conv, conv)


def _sum(builder: Builder, node: Node, concats: Mapping[int, Node]) -> RowSum | None:
    """The sum that ends in a node, if it is one over tensors of one row."""
    concat = concats.get(node.inputs[0].node) if node.op == DENSE else None
    if concat is None:
        return None
    kernel, low, high, stride = (builder.values(node.inputs[at]) for at in (1, 4, 5, 6))
    axis = builder.values(concat.inputs[0])
    assert kernel is not None and low is not None and high is not None and stride is not None
    depth = int(kernel.shape[3])
    shapes = {builder.shape(ref) for ref in concat.inputs[1 : 1 + (len(concat.inputs) - 1) // 3]}
    if (
        axis is None
        or int(axis.flat[0]) != DEPTH
        or kernel.shape[:2] != (1, 1)
        or stride.shape[1:3] != (1, 1)
        or {(shape[1], shape[3]) for shape in shapes} != {(1, depth)}
    ):
        return None
    zero = round(-float(low.flat[0]) * 255.0 / (float(high.flat[0]) - float(low.flat[0])))
    blocks = kernel[0, 0].reshape(-1, depth, depth)
    own = np.eye(depth, dtype=bool)
    return None if (blocks[:, ~own] != zero).any() else RowSum(concat, node, blocks[:, own], zero)
