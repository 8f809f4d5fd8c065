"""Transposed convolutions that need no padding before them.

prepare makes QuantizedTransposeConv2d a Pad, a convolution for all phases of the stride at once,
and a DepthToSpace that crops what the padding added. Where the output is the input times the
stride, a convolution with one additional tap, zero for half of the phases, reaches as far to both
sides and pads by itself: one node less for some more products.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder
from hexconv.nnlib.constraints import WIDEST_KERNEL
from hexconv.nnlib.graph import Graph, Node, Output, Padding, Ref
from hexconv.optimize.price import Prices
from hexconv.optimize.registry import Stage, declined, rewrite

OP, INPUTS = "QuantizedTransposeConv2d_8x8p32to8", (13, 14)
"""14 with channel scales; one with groups has 15."""
LANES = 32


@rewrite(Stage.NNLIB, priced=True)
def transposed_without_pad(graph: Graph, prices: Prices) -> int:
    """A transposed convolution is one that pads by itself, and DepthToSpace, if that is cheaper."""
    builder = Builder.on(graph)
    nodes: list[Node] = []
    count = 0
    for node in graph.nodes:
        made = [node]
        if node.op == OP and len(node.inputs) in INPUTS and _fits(builder, node):
            made = _cheaper(graph, builder, node, prices)
            count += len(made) > 1
            if made == [node]:
                declined("transposed_without_pad", node.name, "the library's own form is cheaper")
        nodes += made
    graph.nodes[:] = nodes
    return count


@dataclass(frozen=True)
class PhaseAxis:
    """One axis: sizes in elements. Output o is the sum of x[i] w[o + pad - stride i] over i."""

    size: int
    result: int
    kernel: int
    stride: int
    pad: int

    @property
    def reach(self) -> tuple[int, int]:
        """How many inputs before and after o // stride an output may need."""
        return (
            (self.kernel - 1 - self.pad) // self.stride,
            (self.stride - 1 + self.pad) // self.stride,
        )

    @property
    def fits(self) -> bool:
        """Whether a convolution with as much padding on both sides computes all phases."""
        before, behind = self.reach
        return self.result == self.size * self.stride and before == behind

    def taps(self, phase: int) -> list[tuple[int, int]]:
        """(tap of the convolution, tap of the transposed kernel) of one phase."""
        before, behind = self.reach
        pairs = [
            (tap, phase + self.pad - self.stride * (tap - before))
            for tap in range(before + behind + 1)
        ]
        return [(tap, own) for tap, own in pairs if 0 <= own < self.kernel]


def _fits(builder: Builder, node: Node) -> bool:
    rows, columns = _axes(builder, node)
    return (
        rows.fits
        and columns.fits
        and sum(columns.reach) + 1 <= WIDEST_KERNEL
        and node.outputs[0].shape[3] % LANES == 0
    )


def _axes(builder: Builder, node: Node) -> tuple[PhaseAxis, PhaseAxis]:
    kernel, pads, stride = (builder.values(node.inputs[at]) for at in (1, 6, 7))
    assert kernel is not None and pads is not None and stride is not None  # required by the library
    before = (int(pads.flat[0]), int(pads.flat[2]))
    sizes, result = builder.shape(node.inputs[0]), node.outputs[0].shape
    rows, columns = (
        PhaseAxis(sizes[at], result[at], kernel.shape[at], stride.shape[at], before[at - 1])
        for at in (1, 2)
    )
    return rows, columns


def _cheaper(graph: Graph, builder: Builder, node: Node, prices: Prices) -> list[Node]:
    """The node, or its replacement."""
    read = {ref.node for ref in node.inputs}
    consts = [const for const in graph.consts if const.id in read]
    shape = builder.shape(node.inputs[0])
    own = prices.between(node, consts, shape, lambda _, placed: [placed])
    other = prices.between(node, consts, shape, _written_out)
    return _written_out(builder, node) if other < own else [node]


def _written_out(builder: Builder, node: Node) -> list[Node]:
    """Supernode and DepthToSpace."""
    data, _, low, high, w_low, w_high, _, _, bias, b_low, b_high, *requested = node.inputs
    rows, columns = _axes(builder, node)
    phases = rows.stride * columns.stride
    codes = _phases(builder, node, rows, columns)
    biases = builder.values(bias)
    assert biases is not None
    b, h, w, _ = builder.shape(data)
    low_high, scales = requested[:2], requested[2:]
    if scales:
        values = builder.values(scales[0])
        assert values is not None  # required by the library
        scales = [builder.const(f"{node.name}/channel_scales", np.tile(values, (1, 1, 1, phases)))]
    inputs = (
        data,
        builder.const(f"{node.name}/phases", codes),
        low,
        high,
        w_low,
        w_high,
        builder.extent(f"{node.name}/stride", 1, 1),
        builder.const(f"{node.name}/biases", np.tile(biases, (1, 1, 1, phases))),
        b_low,
        b_high,
        *low_high,
        *scales,
    )
    conv = builder.new_node(
        "Supernode_8x8p32to8",
        inputs,
        (Output((b, h, w, codes.shape[3]), "uint8"), *RANGE_OUTPUTS),
        name=f"{node.name}/conv",
        padding=Padding.SAME,
        onnx_node=node.onnx_node,
    )
    block = builder.ints(f"{node.name}/block", (rows.stride, columns.stride))
    moved = (Ref(conv.id), block, Ref(conv.id, 1), Ref(conv.id, 2))
    return [conv, replace(node, op="DepthToSpace_8", inputs=moved, padding=Padding.NA)]


def _phases(builder: Builder, node: Node, rows: PhaseAxis, columns: PhaseAxis) -> Array:
    """(kh, kw, inputs, phases * filters): weights of all phases, zeros where one has no tap."""
    kernel, low, high = (builder.values(node.inputs[at]) for at in (1, 4, 5))
    assert kernel is not None and low is not None and high is not None
    zero = round(-float(low.flat[0]) * 255.0 / (float(high.flat[0]) - float(low.flat[0])))
    filters, _, _, depth = kernel.shape
    height, width = sum(rows.reach) + 1, sum(columns.reach) + 1
    codes = np.full((height, width, depth, rows.stride, columns.stride, filters), zero, np.uint8)
    for row in range(rows.stride):
        for column in range(columns.stride):
            for at_h, own_h in rows.taps(row):
                for at_w, own_w in columns.taps(column):
                    codes[at_h, at_w, :, row, column] = kernel[:, own_h, own_w].T
    return codes.reshape(height, width, depth, -1)
