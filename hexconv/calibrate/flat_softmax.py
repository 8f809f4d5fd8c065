"""Softmax over flat rows: normalized after what its probabilities are multiplied with.

The library's softmax returns 255 levels of 0..1. Over hundreds of frames a probability is a level
or less: most round to zero, and the row loses its mass. exp relative to the row's maximum has 255
levels for each row. Its product with the values is divided by the row's sum (as FlashAttention
does, Dao et al. 2022), so that no mass is lost; without a product, the quotient has the range that
the probabilities have. A table an element is more than the library's op costs: rows that have a
probability near 1 keep that, and so do many rows that keep their mass. Where centered scores share
one maximum, exp takes products instead of a table, and no maximum of rows is computed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import exp, prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.calibrate.centered_scores import Scores, center, centered_scores, gain
from hexconv.calibrate.changes import change_each
from hexconv.calibrate.exp_by_products import exp_by_products
from hexconv.calibrate.score_ranges import bounded_scores
from hexconv.calibrate.softmax_rows import (
    LOWEST_SCORE,
    loses_mass,
    own_maxima_are_better,
    product_of,
    softmax_axis,
    softmax_of_products,
)
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.selections import LAYOUT
from hexconv.quantize import Bounds
from hexconv.quantize.ranges import LEVELS

LEAST_LEVELS = 1.5
"""Levels of 0..1 that a row's mean probability has; with fewer it loses its mass."""
PEAKED, PEAKED_ALONE, PEAKED_RETURNED = 0.95, 0.5, 0.3
"""Largest probability that was seen, with a product behind it and without: in the range of a larger
one, a probability that is read itself gains less than 6 dB. One that the model returns is cut off
at what was seen, where samples may not have shown the model sure of itself."""
FLAT, FLAT_SHORT = 0.5, 0.15
"""The same of rows that keep their mass in 255 levels of 0..1, but spread it over hardly any: with
a product behind them, and where they are so short that a sum over them needs no more."""
SHORT = 64
"""Values of a row below which it is short."""
MOST_ELEMENTS = 80_000
"""Elements whose tables, 3 packets each, are worth it where rows keep their mass without."""
CLOSE = 1.0
"""How far below the largest score a row's maximum may be for one maximum to serve all rows where
the probabilities are read themselves: exp keeps 94 levels of such a row."""
NARROW = 7.0
"""Width of the scores up to which one maximum serves all rows of a product, where it was not
measured: a product has one range for all rows, in which those of like sums keep their levels."""


def flat_softmax(
    graph: FloatGraph,
    observed: Mapping[str, Bounds],
    also: Collection[str] = (),
    *,
    centered: bool = False,
    measured: bool = True,
) -> tuple[dict[str, Bounds], int]:
    """Softmax of long rows without a large probability as exp, sum and quotient.

    Args:
        graph: changed in place.
        observed: (min, max) of each value.
        also: outputs of other Softmax nodes that are worth it.
        centered: whether scores may be centered.
        measured: whether `observed` has the ranges of what that makes.

    Returns:
        The ranges, with those of the new values, and how many nodes were changed.
    """
    ranges = dict(observed)
    nodes = [
        node for node in graph.nodes if _is_flat(node, ranges) or str(node.outputs[0].name) in also
    ]

    def change(node: ir.Node, builder: FloatBuilder) -> None:
        scores = None
        if centered:
            extra = not _is_flat(node, ranges)
            scores = centered_scores(node, ranges, measured=measured, extra=extra)
        _written_out(node, scores, builder, ranges)

    return ranges, change_each(graph, nodes, change)


def worth_packets(
    graph: FloatGraph, ranges: Mapping[str, Bounds], *, measured: bool = True
) -> list[str]:
    """Outputs of Softmax that the library's op computes, and centered scores far better.

    Args:
        graph: that is calibrated.
        ranges: (min, max) of each value, and what was measured of rows.
        measured: leave those out of which `ranges` does not have what is made then.

    Returns:
        Most gain for an element first.
    """
    ranges, gains = bounded_scores(graph, ranges), dict[str, float]()
    for node in softmax_of_products(graph):
        found = 0.0 if _is_flat(node, ranges) else gain(node, ranges, measured=measured)
        if found > 0.0:
            gains[str(node.outputs[0].name)] = found
    return sorted(gains, key=lambda name: -gains[name])


def _is_flat(node: ir.Node, ranges: Mapping[str, Bounds]) -> bool:
    source = node.inputs[0] if node.inputs else None
    if node.op_type != "Softmax" or node.domain or source is None or source.name not in ranges:
        return False
    largest = ranges.get(str(node.outputs[0].name), (0.0, 1.0))[1]
    shape, axis = shape_of(source), softmax_axis(node)
    if loses_mass(node, ranges) and (_is_long(shape[axis]) or prod(shape) <= MOST_ELEMENTS):
        return True
    return 0.0 < largest < _limit(node, shape, shape[axis])


def _is_long(length: int) -> bool:
    """Whether the mean probability of a row is less than it takes to keep its mass."""
    return length * LEAST_LEVELS > LEVELS


def _limit(node: ir.Node, shape: Sequence[int], length: int) -> float:
    """The largest probability up to which rows of a length are written out."""
    alone = product_of(node) is None
    own = PEAKED_RETURNED if _is_returned(node.outputs[0]) else PEAKED_ALONE
    if _is_long(length):
        return own if alone else PEAKED
    if prod(shape) > MOST_ELEMENTS:
        return 0.0
    if alone:
        return own
    return FLAT_SHORT if length < SHORT else FLAT


def _is_returned(value: ir.Value) -> bool:
    """Whether the model returns a value, as it is or in another shape."""
    moved = (use.node for use in value.uses() if use.node.op_type in LAYOUT)
    return value.is_graph_output() or any(_is_returned(node.outputs[0]) for node in moved)


def _written_out(
    node: ir.Node, scores: Scores | None, builder: FloatBuilder, ranges: dict[str, Bounds]
) -> None:
    source, product = node.inputs[0], product_of(node)
    assert source is not None
    builder.at(node)
    largest = ranges[str(node.outputs[0].name)][1]
    axes, length = np.array([softmax_axis(node)], np.int64), shape_of(source)[softmax_axis(node)]
    make = _Maker(builder, ranges)
    if scores is not None:
        value = center(node, scores, builder, ranges)
        mass, later = exp_by_products(value, scores.bounds, make.exactly), 0.0
    else:
        mass, later = _exp(node, source, axes, make)
    total = make.made("ReduceSum", [mass, axes], (0.0, float(length)))
    share = make.made("Reciprocal", [total], (0.0, largest))
    if later:
        ranges[str(share.name)] = 0.0, ranges[str(share.name)][1] * exp(later)
    if product is None:
        builder.replace(node, [builder.op("Mul", [mass, share], name=str(node.name))])
        return
    builder.at(product)
    low, high = ranges[str(product.outputs[0].name)]
    summed = make.made("MatMul", [mass, product.inputs[1]], (low * length, high * length))
    builder.replace(product, [builder.op("Mul", [summed, share], name=str(product.name))])


def _exp(
    node: ir.Node, source: ir.Value, axes: npt.NDArray[np.int64], make: _Maker
) -> tuple[ir.Value, float]:
    """exp of scores by a table, relative to the maximum of each row, or of all.

    Returns:
        It, and how far below the largest maximum that of a row may be.
    """
    ranges, product = make.ranges, product_of(node)
    low, high = ranges[str(source.name)]
    tops = ranges.get(f"{node.name}_reducemax")  # measured where the rows' maxima may differ
    apart = high - (low if tops is None or product is not None else tops[0])
    better = own_maxima_are_better(node, ranges)
    shared = apart <= (CLOSE if product is None else NARROW) if better is None else not better
    if shared:
        below = make.exactly("Sub", [source, np.float32(high)], (low - high, 0.0))
    else:
        top = make.made("ReduceMax", [source, axes], (low, high))
        below = make.made("Sub", [source, top], (low - high, 0.0))
        least, most = ranges[str(below.name)]  # measured perhaps, masked scores among them
        ranges[str(below.name)] = max(least, LOWEST_SCORE), most
    mass = make.made("Exp", [below], (0.0, 1.0))
    return mass, high - tops[0] if shared and tops is not None else 0.0


@dataclass(frozen=True)
class _Maker:
    """Makes nodes and notes the ranges of their results."""

    builder: FloatBuilder
    ranges: dict[str, Bounds]

    def made(self, op: str, inputs: list[Any], bounds: Bounds) -> ir.Value:
        """A node; its range is what was measured, or these bounds."""
        attributes = {"keepdims": 1} if op.startswith("Reduce") else {}
        value = self.builder.op(op, inputs, attributes)
        self.ranges.setdefault(str(value.name), bounds)
        return value

    def exactly(self, op: str, inputs: list[Any], bounds: Bounds) -> ir.Value:
        """A node; its range follows from its inputs'."""
        value = self.made(op, inputs, bounds)
        self.ranges[str(value.name)] = bounds
        return value
