"""Tensors that are sums of others, each times a number for each channel, on the last axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.nnlib.depthwise_code import SLICE
from hexconv.onnx_graph.builder import array_of, row_of, shape_of
from hexconv.onnx_graph.graph import FloatGraph
from hexconv.onnx_graph.rewrites.match import read_once

FEWEST, MOST = 3, 4
"""Tensors that are summed: of two, a sum and a product cost less."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChannelSum:
    """Tensors times a number for each channel each, and an addend for each channel.

    Attributes:
        terms: factors (channels,) by tensor.
        addend: (channels,).
    """

    terms: dict[ir.Value, Floats]
    addend: Floats

    def without(self, term: ir.Value, parts: ChannelSum) -> ChannelSum:
        """The same sum, with what a term is the sum of in its place."""
        factor = self.terms[term]
        terms = {value: own for value, own in self.terms.items() if value is not term}
        for value, own in parts.terms.items():
            terms[value] = terms.get(value, 0.0) + factor * own
        return ChannelSum(terms, self.addend + factor * parts.addend)


def normalized_sums(graph: FloatGraph) -> dict[ir.Value, ChannelSum]:
    """The sums of three tensors and four whose squares a norm adds up."""
    squares = (node.inputs for node in graph.nodes if node.op_type == "Mul" and not node.domain)
    values = dict.fromkeys(x for x, y in squares if x is y and x is not None)
    sums = {value: total for value in values if (total := sum_of(value)) is not None}
    return {
        value: total
        for value, total in sums.items()
        if len(total.terms) >= FEWEST and _by_channel(total)
    }


def _by_channel(total: ChannelSum) -> bool:
    """Whether a term's factor differs by channel, as a norm's gamma: a sum has none."""
    return any(bool((row != row[0]).any()) for row in total.terms.values())


def sum_of(value: ir.Value) -> ChannelSum | None:
    """A value as a sum, of as many tensors as one node may read; None if it is none."""
    shape = shape_of(value)
    if len(shape) < 2 or shape[-1] <= SLICE:
        return None  # its factors would have one scale (lowering/depthwise)
    width = shape[-1]
    total = _parts(value, width)
    if total is None:
        return None
    while (more := _expanded(total, width)) is not None:
        total = more
    return total


def _expanded(total: ChannelSum, width: int) -> ChannelSum | None:
    """With one term replaced by those that it is the sum of; None if none can be."""
    for term in total.terms:
        parts = _parts(term, width) if read_once(term) else None
        found = None if parts is None else total.without(term, parts)
        if found is not None and len(found.terms) <= MOST:
            return found
    return None


def _parts(value: ir.Value, width: int) -> ChannelSum | None:
    """What a node adds or multiplies by channel; None if it does something else."""
    node = value.producer()
    if node is None or node.domain or len(node.inputs) != 2 or notes_of(node).float_reason:
        return None
    left, right = node.inputs
    if left is None or right is None or left is right:
        return None
    if _is_linear(node):
        return None
    if node.op_type in ("Add", "Sub"):
        return _added(value, left, right, 1.0 if node.op_type == "Add" else -1.0, width)
    row = row_of(right, width)
    if node.op_type == "Mul" and row is not None and shape_of(left) == shape_of(value):
        return ChannelSum({left: row}, np.zeros(width))
    return None


def _is_linear(node: ir.Node) -> bool:
    """Whether a node adds the bias of a product with constant weights."""
    rows = [array_of(value) for value in node.inputs]
    makers = [value.producer() for value in node.inputs if value is not None]
    products = [maker for maker in makers if maker is not None and maker.op_type == "MatMul"]
    return node.op_type == "Add" and len(products) == 1 and any(a is not None for a in rows)


def _fits(item: ir.Value, shape: tuple[int, ...]) -> bool:
    """Whether a tensor has a number for each element, or for each row; a constant for each."""
    if array_of(item) is None:
        return shape_of(item) in (shape, (*shape[:-1], 1))
    sizes = shape_of(item)
    return (1,) * (len(shape) - len(sizes)) + sizes == shape


def _added(
    value: ir.Value, left: ir.Value, right: ir.Value, sign: float, width: int
) -> ChannelSum | None:
    shape, terms, addend = shape_of(value), dict[ir.Value, Floats](), np.zeros(width)
    for item, factor in ((left, 1.0), (right, sign)):
        row = row_of(item, width)
        if row is not None:
            addend = addend + factor * row
        elif _fits(item, shape):
            terms[item] = np.full(width, factor)
        else:
            return None
    return ChannelSum(terms, addend)
