"""Convolutions of width 1 over as many rows as the DSP has threads.

v66 divides the rows of a convolution among four threads. Where the last thread gets far fewer than
the others (7 rows: 2, 2, 2 and 1) it dispatches each slice of 32 output channels by itself, some
200 packets each (cost/supernode.py), and columns are padded to a multiple of 4 in every row. What
works pixel by pixel does not depend on the rows: 14x14 pixels are 4x49 as well. A reshape moves
nothing, but leaves d32 and comes back to it, so all neighbors that work pixel by pixel move
together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder
from hexconv.nnlib.check import problems
from hexconv.nnlib.graph import Graph, Node, Output, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.prepare import prepare
from hexconv.nnlib.prepare.left_padding import shifted
from hexconv.nnlib.ranges.operands import own_limits
from hexconv.optimize.price import Prices
from hexconv.optimize.registry import Stage, rewrite

CONV, RESHAPE = "Supernode_8x8p32to8", "QuantizedReshape"
UNARY = (
    "QuantizedRelu_8",
    "QuantizedReluX_8",
    "QuantizedClamp_8",
    "QuantizedPRelu_8",
    "QuantizedPRelu_8_V2",
    "Requantize_8to8",
)
BINARY = ("QuantizedAdd_8p8to8", "QuantizedSub_8p8to8", "QuantizedMul_8x8to8")
OPERANDS = {
    CONV: (0,),
    **dict.fromkeys(UNARY, (0,)),
    **dict.fromkeys(BINARY, (0, 1)),
}
"""Ops that work pixel by pixel, and the places of their tensors."""
ROWS = (4, 3, 2, 1)
"""Numbers of rows, the most threads first."""


@rewrite(Stage.NNLIB, priced=True)
def rows_into_width(graph: Graph, prices: Prices) -> int:
    """Convolutions of width 1 run over rows that divide evenly among the DSP's threads."""
    count, own = 0, None
    for region in list(_regions(graph)):
        if not _promising(graph, region, prices):
            continue
        own = prices.graph(graph) if own is None else own
        for rows in _choices(region):
            other = _folded(graph, region, rows)
            price = np.inf if other is None else prices.graph(other)
            if other is not None and price < own and not problems(other):
                graph.consts[:], graph.nodes[:], own = other.consts, other.nodes, price
                count += 1
                break
    return count


@dataclass
class PixelRegion:
    """Connected nodes that work pixel by pixel, on one size of image."""

    plane: tuple[int, int, int]
    nodes: set[int] = field(default_factory=set)

    def shape(self, rows: int, depth: int) -> Shape4:
        """BHWD with another number of rows."""
        batch, height, width = self.plane
        return batch, rows, height * width // rows, depth


def _regions(graph: Graph) -> Iterator[PixelRegion]:
    """The largest regions that hold a convolution."""
    builder = Builder.on(graph)
    found: dict[int, PixelRegion] = {}
    for node in graph.nodes:
        if not _by_pixel(node, builder):
            continue
        b, h, w, _ = node.outputs[0].shape
        region = PixelRegion((b, h, w), {node.id})
        for place in OPERANDS[node.op]:
            before = found.get(node.inputs[place].node)
            if before is not None and before is not region and before.plane == region.plane:
                before.nodes |= region.nodes
                region = before
        found.update(dict.fromkeys(region.nodes, region))
    convolutions = {node.id for node in graph.nodes if node.op == CONV}
    unique = {id(region): region for region in found.values()}
    yield from (region for region in unique.values() if region.nodes & convolutions)


def _by_pixel(node: Node, builder: Builder) -> bool:
    """Whether a node computes each pixel from those at the same place, in more than one row."""
    if node.op not in OPERANDS or node.outputs[0].shape[1] == 1:
        return False
    if node.op == CONV:
        kernel, stride = builder.shape(node.inputs[1]), builder.shape(node.inputs[6])
        if kernel[:2] != (1, 1) or stride[1:3] != (1, 1):
            return False
    plane = node.outputs[0].shape[:3]
    shapes = [builder.shape(node.inputs[place]) for place in OPERANDS[node.op]]
    return all(shape[:3] == plane or prod(shape[:3]) == 1 for shape in shapes)


def _choices(region: PixelRegion) -> list[int]:
    """Numbers of rows that the pixels divide into, other than their own."""
    _, height, width = region.plane
    return [rows for rows in ROWS if rows != height and height * width % rows == 0]


def _promising(graph: Graph, region: PixelRegion, prices: Prices) -> bool:
    """Whether the convolutions alone gain more than a reshape there and back is dispatched for."""
    builder = Builder.on(graph)
    convs = [node for node in graph.nodes if node.op == CONV and node.id in region.nodes]

    def packets(rows: int) -> float:
        total = 0.0
        for node in convs:
            kernel, depth = builder.shape(node.inputs[1]), node.outputs[0].shape[3]
            inputs = [region.shape(rows, kernel[2]), kernel, (1, 1, 1, depth)]
            total += prices.packets(f"{CONV}_d32", inputs, region.shape(rows, depth))
        return total

    least = min((packets(rows) for rows in _choices(region)), default=np.inf)
    return packets(region.plane[1]) - least > 2 * prices.dispatch


def _folded(graph: Graph, region: PixelRegion, rows: int) -> Graph | None:
    """The graph with a region over other rows; None where its nodes would run in other forms."""
    copy = replace(graph, consts=list(graph.consts), nodes=list(graph.nodes))
    made = _Folding(copy, region, rows).graph()
    before, after = prepare(graph), prepare(made)
    forms = [{n.id: n.op for n in g.nodes if n.id in region.nodes} for g in (before, after)]
    alike = forms[0] == forms[1] and not any(shifted(after))
    return made if alike else None


class _Folding:
    """Puts a region over other rows, with reshapes around it."""

    def __init__(self, graph: Graph, region: PixelRegion, rows: int) -> None:
        self.source = graph
        self.region = region
        self.rows = rows
        self.builder = Builder.on(graph)
        self.producers = graph.node_by_id()
        self.readers = graph.consumers()
        self.nodes: list[Node] = []
        self.inside: dict[Ref, Ref] = {}
        """Tensors from outside, as the region reads them."""
        self.outside: dict[Ref, Ref] = {}
        """Tensors of the region, as all others read them."""

    def graph(self) -> Graph:
        """The graph with the region folded."""
        for node in self.source.nodes:
            if node.id in self.region.nodes:
                self._fold(node)
            elif node.op == RESHAPE:
                self.nodes.append(node)  # takes the bytes as they lie
            else:
                inputs = tuple(self.outside.get(ref, ref) for ref in node.inputs)
                self.nodes.append(replace(node, inputs=inputs))
        return replace(self.source, nodes=self.nodes)

    def _fold(self, node: Node) -> None:
        inputs = list(node.inputs)
        for place in OPERANDS[node.op]:
            inputs[place] = self._read(node.inputs[place], node)
        first, *rest = node.outputs
        shape = self.region.shape(self.rows, first.shape[3])
        outputs = (Output(shape, first.dtype), *rest)
        self.nodes.append(replace(node, inputs=tuple(inputs), outputs=outputs))
        data = Ref(node.id)
        if any(self._needs_rows(reader) for reader, _ in self.readers.get(data, [])):
            back = self._reshape(data, first.shape, node)
            self.outside[data] = Ref(back.id)

    def _needs_rows(self, reader: Node) -> bool:
        return reader.id not in self.region.nodes and reader.op != RESHAPE

    def _read(self, data: Ref, reader: Node) -> Ref:
        """What the region reads in the place of a tensor."""
        shape = self.builder.shape(data)
        if data.node in self.region.nodes or shape[:3] != self.region.plane:
            return data
        if data not in self.inside:
            folded = self.region.shape(self.rows, shape[3])
            values = self.builder.values(data)
            if values is not None:
                name = f"{reader.name}/rows"
                self.inside[data] = self.builder.const(name, values.reshape(folded))
            else:
                before = self._before_reshape(data)
                if self.builder.shape(before) == folded:
                    self.inside[data] = before
                else:
                    self.inside[data] = Ref(self._reshape(before, folded, reader).id)
        return self.inside[data]

    def _before_reshape(self, data: Ref) -> Ref:
        """The same bytes as an earlier reshape reads them."""
        producer = self.producers.get(data.node)
        if producer is None or producer.op != RESHAPE:
            return data
        return self.outside.get(producer.inputs[0], producer.inputs[0])

    def _reshape(self, data: Ref, shape: Shape4, beside: Node) -> Node:
        """Of the range that the data has: readers keep their limits, which may be others."""
        producer = self.producers[data.node]
        size = self.builder.ints(f"{beside.name}/size", list(shape))
        node = self.builder.new_node(
            RESHAPE,
            (data, size, *own_limits(producer, data.port)),
            (Output(shape, "uint8"), *RANGE_OUTPUTS),
            name=f"{beside.name}/rows",
            onnx_node=beside.onnx_node,
        )
        self.nodes.append(node)
        self.producers[node.id] = node
        return node
