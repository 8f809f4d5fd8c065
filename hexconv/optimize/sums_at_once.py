"""Sums of a residual stream from all their terms, rounded once.

A stream x1 = x0 + b1, x2 = x1 + b2, ... is rounded in its own wide range after each addition, and
every rounding stays in it. As a product of the concatenated terms x0, b1, b2, ... with weights of 1
a sum is added up in the accumulators, and rounded once; the sums before it are left to what else
reads them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.optimize.on_float.same_convolution import same_shape_sum
from hexconv.optimize.products import product_of
from hexconv.quantize import Bounds

MOST_TERMS = 9
"""Of a sum: as many rows as a depthwise convolution of the library has at most."""
MOST_LEVELS = 127
"""Of a weight: all of them are multiples of this part of the largest, so that none is rounded."""
ROUNDED = 1e-6
"""Of a range, by which it may be exceeded: float32."""


@dataclass(frozen=True)
class LongSum:
    """A sum of more than two tensors of one shape.

    Attributes:
        last: the addition whose result it is.
        terms: what is added up.
        inner: results of the other additions, which others may read.
        channels: the axis that products have their channels on.
    """

    last: ir.Node
    terms: tuple[ir.Value, ...]
    inner: tuple[ir.Value, ...]
    channels: int

    @property
    def tensor(self) -> str:
        """The name of the result."""
        return str(self.last.outputs[0].name)

    def known(self, ranges: Mapping[str, Bounds]) -> bool:
        """Whether the sum, what it adds up and the sums before it have ranges."""
        values = (*self.terms, *self.inner, *self.last.outputs)
        return all(str(value.name) in ranges for value in values)

    def whole(self, ranges: Mapping[str, Bounds]) -> Bounds:
        """The range of all terms over their weights: where zero is in it widens them least."""
        own = [_ends(ranges[str(term.name)]) for term in self.terms]
        places = [(1.0, 1.0), *(ends for ends in own if any(ends))]
        best = min(places, key=lambda place: sum((sum(place) * _scale(e, place)) ** 2 for e in own))
        most = max(_scale(ends, best) for ends in own) or 1.0
        return -best[0] * most, best[1] * most

    def levels(self, ranges: Mapping[str, Bounds]) -> list[int]:
        """The weight of each term, in levels: over it, a term has the range of all."""
        whole = self.whole(ranges)
        return [_levels(ranges[str(term.name)], whole) for term in self.terms]

    def ranges(self, ranges: Mapping[str, Bounds]) -> dict[str, Bounds]:
        """The ranges of the terms: parts of that of all, whose levels stay as they are."""
        low, high = self.whole(ranges)
        shares = [level / MOST_LEVELS for level in self.levels(ranges)]
        names = (str(term.name) for term in self.terms)
        return {name: (low * s, high * s) for name, s in zip(names, shares, strict=True)}


def long_sums(graph: FloatGraph) -> dict[str, LongSum]:
    """Sums of three tensors and more, by the names of their results, in the graph's order."""
    found = (_from(node) for node in graph.nodes)
    return {total.tensor: total for total in found if total is not None}


def stream_ends(graph: FloatGraph) -> list[LongSum]:
    """Sums that no other one adds up from their terms, and those that these begin with."""
    found = long_sums(graph)
    inner = {str(value.name) for total in found.values() for value in total.inner}
    ends = [total for name, total in found.items() if name not in inner]
    for total in ends:
        first = (found.get(str(term.name)) for term in total.terms)
        ends += [item for item in first if item is not None and item not in ends]
    return ends


def sum_at_once(
    graph: FloatGraph, ranges: Mapping[str, Bounds], names: Collection[str]
) -> dict[str, Bounds]:
    """Compute sums from all their terms, in place; those that are no such sums stay.

    Args:
        graph: changed in place.
        ranges: (min, max) of each value.
        names: of results of additions.

    Returns:
        The ranges, with those of the new values.
    """
    found, builder = dict(ranges), FloatBuilder(graph.graph)
    sums = long_sums(graph).items() if names else ()
    totals = [total for name, total in sums if name in names and total.known(ranges)]
    # The last first: what they begin with is replaced in them too, and nothing that they read goes.
    for total in reversed(totals):
        if total.last.graph is not None:
            _put(builder.at(total.last), total, found)
    if totals:
        remove_dead(graph.graph)
    return found


def _from(node: ir.Node) -> LongSum | None:
    """The sum that ends in a node, of as many terms as there may be; None if it has but two."""
    if not _adds(node):
        return None
    terms, inner = [value for value in node.inputs if value is not None], list[ir.Value]()
    while True:
        room = MOST_TERMS + 1 - len(terms)
        sums = (term for term in terms if _adds(term.producer()) and _count(term) <= room)
        value = next(sums, None)
        if value is None:
            break
        place, maker = terms.index(value), value.producer()
        assert maker is not None
        terms[place : place + 1] = [item for item in maker.inputs if item is not None]
        inner.append(value)
    products = [found for term in terms if (found := product_of(term)) is not None]
    axes = {product.channels for product in products}
    if not inner or len(axes) != 1:
        return None
    return LongSum(node, tuple(terms), tuple(inner), axes.pop())


def _count(value: ir.Value) -> int:
    """How many terms an addition has."""
    maker = value.producer()
    return 0 if maker is None else len(maker.inputs)


def _adds(node: ir.Node | None) -> bool:
    return node is not None and same_shape_sum(node) and not notes_of(node).float_reason


def _put(builder: FloatBuilder, total: LongSum, ranges: dict[str, Bounds]) -> None:
    """Replace an addition by a product of the concatenated terms, each of them in one range."""
    whole, levels = total.whole(ranges), total.levels(ranges)
    ranges |= total.ranges(ranges)
    parts = []
    for term, level in zip(total.terms, levels, strict=True):
        part = term
        if level < MOST_LEVELS:
            part = builder.op("Mul", [term, np.float32(MOST_LEVELS / level)])
            ranges[str(part.name)] = whole
        parts.append(part)
    joined = builder.op("Concat", parts, {"axis": total.channels}, name=f"{total.tensor}/terms")
    ranges[str(joined.name)] = whole
    builder.replace(total.last, [_product(builder, total, joined, levels, ranges)])


def _product(
    builder: FloatBuilder,
    total: LongSum,
    joined: ir.Value,
    levels: Sequence[int],
    ranges: dict[str, Bounds],
) -> ir.Value:
    """The concatenated terms times what each was divided by, added up."""
    shape = shape_of(total.last.outputs[0])
    one, bias = np.eye(shape[total.channels]), np.zeros(shape[total.channels], np.float32)
    weights = np.concatenate([one * (level / MOST_LEVELS) for level in levels]).astype(np.float32)
    if _of_rows(total):
        product = builder.op("MatMul", [joined, weights])
        ranges[str(product.name)] = ranges[total.tensor]
        return builder.op("Add", [product, bias])
    spatial = (1,) * (len(shape) - 2)
    return builder.op("Conv", [joined, weights.T.reshape(*weights.T.shape, *spatial), bias])


def _levels(own: Bounds, whole: Bounds) -> int:
    """The weight of a term of a range, in levels, whose multiple has the whole range."""
    share = _scale(_ends(own), _ends(whole))
    return max(1, math.ceil(share * MOST_LEVELS * (1.0 - ROUNDED)))


def _ends(bounds: Bounds) -> tuple[float, float]:
    """How far a range reaches below zero and above it."""
    return max(-bounds[0], 0.0), max(bounds[1], 0.0)


def _scale(ends: tuple[float, float], others: tuple[float, float]) -> float:
    """What others have to be multiplied by to reach as far as some ends."""
    pairs = zip(ends, others, strict=True)
    return max(0.0 if not end else end / other if other else math.inf for end, other in pairs)


def _of_rows(total: LongSum) -> bool:
    """Whether its products are of rows, and no convolutions."""
    products = (product_of(term) for term in total.terms)
    return any(item is not None and item.node.op_type == "MatMul" for item in products)
