"""A sum of tensors as a product: a convolution of width 1 over their concatenated channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.optimize.on_float.same_convolution import identity, same_shape_sum
from hexconv.optimize.products import Product, product_of
from hexconv.quantize import Bounds


@dataclass(frozen=True)
class Summed:
    """A tree of additions of tensors of one shape, (N, C, one or two axes).

    Attributes:
        last: the addition whose result is the sum.
        terms: what is added up.
        inner: results of the other additions, which nothing else reads.
    """

    last: ir.Node
    terms: tuple[ir.Value, ...]
    inner: tuple[ir.Value, ...]
    channels: ClassVar[int] = 1

    def put(self, builder: FloatBuilder, ranges: dict[str, Bounds]) -> Product:
        """The product that computes the sum; the range of the concatenated terms is added."""
        joined = builder.op("Concat", self.terms, {"axis": self.channels})
        bounds = [ranges[str(term.name)] for term in self.terms]
        ranges[str(joined.name)] = min(b[0] for b in bounds), max(b[1] for b in bounds)
        shape = shape_of(self.last.outputs[0])
        ones = identity(shape[self.channels], len(self.terms), len(shape) - 2)
        product = product_of(ones.put(joined, builder))
        assert product is not None
        return product


def sum_of(value: ir.Value) -> Summed | None:
    """The additions that make a value; None if it is no sum."""
    node = value.producer()
    if node is None or not _adds(node):
        return None
    terms: list[ir.Value] = []
    inner: list[ir.Value] = []
    pending = list(reversed(node.inputs))
    while pending:
        term = pending.pop()
        assert term is not None
        maker = term.producer()
        if maker is not None and _adds(maker) and read_once(term):
            inner.append(term)
            pending += reversed(maker.inputs)
        else:
            terms.append(term)
    return Summed(node, tuple(terms), tuple(inner))


def _adds(node: ir.Node) -> bool:
    return same_shape_sum(node) and not notes_of(node).float_reason
