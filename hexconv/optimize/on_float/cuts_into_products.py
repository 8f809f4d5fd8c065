"""A product that is sliced right after it is computed: each part is computed separately.

GLU and fused projections slice the channels of one product. Slices unpack it, copy the parts
and pack them again; with the columns of the constant weights split instead, no data moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of, is_row, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.optimize.on_float.slices_and_concats import cut_of
from hexconv.optimize.registry import Stage, rewrite

LANES = 32
# Parts are computed in full vectors of channels: the work that this may add.
WASTE = 1.25


@dataclass(frozen=True)
class StackedProduct:
    """A product with constant weights: `result` is sliced along `axis`, its channels."""

    node: ir.Node
    result: ir.Value
    axis: int
    weights: npt.NDArray[Any]
    bias: npt.NDArray[Any] | None

    def part(self, channels: slice, builder: FloatBuilder) -> ir.Value:
        """Some of its channels."""
        source = self.node.inputs[0]
        bias = None if self.bias is None else self.bias.reshape(-1)[channels]
        if self.node.op_type == "Conv":
            attrs = {name: attr.value for name, attr in self.node.attributes.items()}
            operands = [source, self.weights[channels], *([] if bias is None else [bias])]
            return builder.op("Conv", operands, attrs)
        product = builder.op("MatMul", [source, self.weights[:, channels]])
        return product if bias is None else builder.op("Add", [product, bias])


@rewrite(Stage.FLOAT)
def cuts_into_products(graph: FloatGraph) -> int:
    """Slices of the channels of a convolution or Linear become separate products."""
    builder = FloatBuilder(graph.graph)
    count = 0
    for node in graph.nodes:
        product = _product(node)
        if product is None or not _cut_apart(product):
            continue
        for reader in dict.fromkeys(use.node for use in product.result.uses()):
            builder.at(reader)
            parts = [_part(product, output, builder) for output in reader.outputs]
            builder.replace(reader, parts)
        count += 1
    if count:
        remove_dead(graph.graph)
    return count


def _product(node: ir.Node) -> StackedProduct | None:
    if node.domain or node.op_type not in ("Conv", "MatMul"):
        return None
    weights, result = array_of(node.inputs[1]), node.outputs[0]
    if weights is None or array_of(node.inputs[0]) is not None:
        return None
    if node.op_type == "Conv":
        group = node.attributes.get("group")
        given = len(node.inputs) > 2 and node.inputs[2] is not None
        bias = array_of(node.inputs[2]) if given else None
        if (group is not None and group.as_int() != 1) or (given and bias is None):
            return None
        return StackedProduct(node, result, 1, weights, bias)
    if weights.ndim != 2:
        return None
    last = len(shape_of(result)) - 1
    uses = list(result.uses())
    if len(uses) == 1 and uses[0].node.op_type == "Add" and not result.is_graph_output():
        add = uses[0].node
        bias = array_of(add.inputs[1 - uses[0].idx])
        if bias is None or not is_row(bias, weights.shape[1]):
            return None
        if shape_of(add.outputs[0]) != shape_of(result):
            return None
        return StackedProduct(node, add.outputs[0], last, weights, bias)
    return StackedProduct(node, result, last, weights, None)


def _cut_apart(product: StackedProduct) -> bool:
    """Whether every reader of the result slices channels from it, none twice."""
    result = product.result
    if result.is_graph_output() or not result.uses():
        return False
    taken: list[tuple[int, int]] = []
    for reader in {use.node for use in result.uses()}:
        for output in reader.outputs:
            cut = cut_of(output)
            if cut is None or cut.source is not result or cut.axis != product.axis:
                return False
            taken.append((cut.start, cut.size))
    taken.sort()
    apart = all(start + size <= after for (start, size), (after, _) in pairwise(taken))
    whole = shape_of(result)[product.axis]
    return apart and _lanes(size for _, size in taken) <= WASTE * _lanes([whole])


def _lanes(sizes: Iterable[int]) -> int:
    return sum(-(-size // LANES) * LANES for size in sizes)


def _part(product: StackedProduct, output: ir.Value, builder: FloatBuilder) -> ir.Value | None:
    cut = cut_of(output)
    if cut is None or not (output.uses() or output.is_graph_output()):
        return None
    return product.part(slice(cut.start, cut.start + cut.size), builder)
