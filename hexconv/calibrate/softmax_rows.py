"""What decides how a softmax in front of a product is computed, measured sample by sample.

Rows that share one maximum have few levels where their scores are low; rows with a maximum each
have unlike sums where some are peaked, and one range for their products with the values. The
library's op loses what is less than half a level of 0..1. Ranges of the scores tell none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.onnx_graph.selections import LAYOUT
from hexconv.quantize import Bounds
from hexconv.quantize.ranges import LEVELS

SILENT = 1e-3
"""Of the largest sum: a row below it (all scores masked) counts as one of this."""
LOWEST = -1e9
"""Scores are no lower, so that the differences of infinite ones are numbers."""
BETTER = 1.25
"""How much less noise a maximum for each row has to have than one for all: 1 dB."""
LOST = 0.02
"""Probability that the library's op may lose of a row, in the mean."""

LOWEST_SCORE = -log(2.0 * LEVELS)
"""Relative to a row's maximum: below it, exp rounds to 0 in 255 levels of 0..1."""

_OWN, _LOST = "noise_own", "lost"
_TOP, _LOG_SUMS, _LOG_INVERSES = "top", "log_sums", "log_inverses"
SUMS, SUMS_AROUND = "sums", "sums_around_means"
SQUARES, INVERSES, PRODUCTS = "/mean_square", "/mean_inverse", "/products"
CENTERED, SHARE_SQUARES, LOST_SQUARES = "centered", "share_squares", "lost_squares"
LOST_OF_ROWS, VARIANCE, MEAN_SQUARES, POWER = "lost_of_rows", "variance", "mean_squares", "power"
"""Names of what is measured, behind that of the probabilities (`softmax_noise`)."""


def product_of(node: ir.Node) -> ir.Node | None:
    """The product that alone reads the probabilities of a softmax, and sums over them."""
    reader = next(iter(node.outputs[0].uses())) if read_once(node.outputs[0]) else None
    if reader is None or reader.node.op_type != "MatMul" or reader.idx != 0:
        return None
    deep = all(len(shape_of(value)) > 1 for value in reader.node.inputs)
    last = softmax_axis(node) == len(shape_of(node.outputs[0])) - 1
    return reader.node if deep and last else None


def softmax_axis(node: ir.Node) -> int:
    """The axis of a softmax, counted from 0."""
    axis = node.attributes.get("axis")
    return (-1 if axis is None else axis.as_int()) % len(shape_of(node.inputs[0]))


def row_length(node: ir.Node) -> int:
    """How many scores a softmax takes together."""
    return shape_of(node.inputs[0])[softmax_axis(node)]


def softmax_nodes(graph: FloatGraph) -> Iterator[ir.Node]:
    """Each softmax."""
    return (node for node in graph.nodes if node.op_type == "Softmax" and not node.domain)


def softmax_of_products(graph: FloatGraph) -> Iterator[ir.Node]:
    """Each softmax whose probabilities a product sums over."""
    return (node for node in softmax_nodes(graph) if product_of(node) is not None)


def softmax_of_attention(graph: FloatGraph) -> Iterator[ir.Node]:
    """Each softmax whose probabilities nothing but products reads, in whatever shape."""
    return (node for node in softmax_nodes(graph) if _only_multiplied(node.outputs[0]))


def _only_multiplied(value: ir.Value) -> bool:
    """Whether nothing but products reads a value, as it is or in another shape."""
    nodes = [use.node for use in value.uses()]
    products = all(
        node.op_type == "MatMul" or (node.op_type in LAYOUT and _only_multiplied(node.outputs[0]))
        for node in nodes
    )
    return bool(nodes) and products and not value.is_graph_output()


def compute_rows(builder: FloatBuilder, node: ir.Node) -> None:
    """Compute the maxima of the rows of a softmax of attention.

    Right in front of a product also what decides between its forms.

    Args:
        builder: of a copy of the graph, at its end.
        node: the softmax.
    """
    make = _Maker(builder, str(node.outputs[0].name), row_length(node))
    scores = make.op("scores", "Max", node.inputs[0], LOWEST)
    top = make.over_row(_TOP, "ReduceMax", scores, softmax_axis(node))
    if product_of(node) is not None:
        _compute_forms(make, node, scores, top)


def _compute_forms(make: _Maker, node: ir.Node, scores: ir.Value, top: ir.Value) -> None:
    mass = make.op("mass", "Exp", make.op("below", "Sub", scores, top))
    sums = make.over_row(SUMS, "ReduceSum", mass)
    make.noise(_OWN, sums)
    make.inverses(make.op(_LOG_SUMS, "Add", top, make.op("log_of_sums", "Log", sums)))
    mean = make.over_row("mean", "ReduceMean", scores)
    make.op(CENTERED, "Sub", scores, mean)
    higher = make.op("factor_of_means", "Exp", make.op("above", "Sub", top, mean))
    around = make.op(SUMS_AROUND, "Mul", sums, higher)
    make.lost(make.op("shares", "Div", mass, sums))
    product = product_of(node)
    assert product is not None
    make.values(product.inputs[1], product.outputs[0])
    for sums_of_form in (sums, around):
        make.products(sums_of_form, product.outputs[0])


@dataclass(frozen=True)
class _Maker:
    """Makes nodes whose values are named after one softmax."""

    builder: FloatBuilder
    name: str
    length: int

    def op(self, part: str, op: str, *inputs: ir.Value | float | None) -> ir.Value:
        """One node; numbers are float32, and a reduction is over all axes."""
        values: list[ir.Value | np.float32 | None] = []
        for item in inputs:
            values.append(np.float32(item) if isinstance(item, float) else item)
        attributes = {"keepdims": 1} if op.startswith("Reduce") else {}
        return self.builder.op(op, values, attributes, name=f"{self.name}/{part}")

    def over_row(self, part: str, op: str, value: ir.Value, axis: int = -1) -> ir.Value:
        """A reduction over an axis, the last unless another is named."""
        axes = np.array([axis], np.int64)
        return self.builder.op(op, [value, axes], {"keepdims": 1}, name=f"{self.name}/{part}")

    def noise(self, part: str, sums: ir.Value) -> None:
        """Of n values and of their product, each rounded in one range, beside a row's sum."""
        largest = self.op(f"{part}/largest", "ReduceMax", sums)
        least = self.op(f"{part}/least", "Mul", largest, SILENT)
        heard = self.op(f"{part}/heard", "Max", sums, least)
        square = self.op(f"{part}/square", "Mul", largest, largest)
        both = self.op(f"{part}/both", "Add", square, float(self.length))
        squares = self.op(f"{part}/squares", "Mul", heard, heard)
        self.op(part, "ReduceMean", self.op(f"{part}/rows", "Div", both, squares))

    def inverses(self, logs: ir.Value) -> None:
        """Logarithm of the mean of 1 over the squares of sums, whose logarithms are given."""
        most = self.op("most", "ReduceMax", logs)
        heard = self.op("heard", "Max", logs, self.op("quietest", "Add", most, log(SILENT)))
        least = self.op("least", "ReduceMin", heard)
        above = self.op("above_least", "Sub", heard, least)
        inverse = self.op("inverse", "Exp", self.op("twice_above", "Mul", above, -2.0))
        mean = self.op("log_mean", "Log", self.op("mean_inverse", "ReduceMean", inverse))
        self.op(_LOG_INVERSES, "Sub", mean, self.op("twice_least", "Mul", least, 2.0))

    def lost(self, shares: ir.Value) -> None:
        """What rounding to levels of 0..1 takes from probabilities, by row and by value."""
        self.mean_of_squares(SHARE_SQUARES, shares)
        levels = self.op("levels", "Mul", shares, float(LEVELS))
        lost = self.op("lost_levels", "Sub", levels, self.op("whole_levels", "Round", levels))
        self.mean_of_squares(LOST_SQUARES, lost)
        of_row = self.over_row("lost_of_row", "ReduceSum", lost)
        self.op(_LOST, "ReduceMean", of_row)
        self.op(LOST_OF_ROWS, "ReduceMean", self.op("squares_lost", "Mul", of_row, of_row))

    def mean_of_squares(self, part: str, value: ir.Value) -> None:
        """The sum over the squares of each row, in the mean."""
        self.op(part, "ReduceMean", self.over_row(f"{part}/rows", "ReduceSumSquare", value))

    def values(self, values: ir.Value | None, result: ir.Value) -> None:
        """The variance of the values over a row's length, the squares of their means, and the
        power of the product."""
        axes = np.array([-2], np.int64)
        name = f"{self.name}/mean_values"
        mean = self.builder.op("ReduceMean", [values, axes], {"keepdims": 1}, name=name)
        apart = self.op("apart", "Sub", values, mean)
        self.op(VARIANCE, "ReduceMean", self.op("apart_squares", "Mul", apart, apart))
        self.op(MEAN_SQUARES, "ReduceMean", self.op("squares_of_means", "Mul", mean, mean))
        self.op(POWER, "ReduceMean", self.op("result_squares", "Mul", result, result))

    def products(self, sums: ir.Value, result: ir.Value) -> None:
        """A form's products before they are divided by sums, and the noise of that division."""
        part = str(sums.name).rpartition("/")[2]
        square = self.op(f"{part}/square", "Mul", sums, sums)
        self.op(f"{part}{SQUARES}", "ReduceMean", square)
        self.op(f"{part}{INVERSES}", "ReduceMean", self.op(f"{part}/inverse", "Div", 1.0, square))
        self.op(f"{part}{PRODUCTS}", "Mul", result, sums)


def least_top(node: ir.Node, ranges: Mapping[str, Bounds]) -> float | None:
    """The least maximum of a row of scores that was seen; None if it was not measured."""
    bounds = ranges.get(f"{node.outputs[0].name}/{_TOP}")
    return None if bounds is None else bounds[0]


def own_maxima_are_better(node: ir.Node, ranges: Mapping[str, Bounds]) -> bool | None:
    """Whether each row's maximum has less noise than one of all rows; None if not measured."""
    name, length = node.outputs[0].name, shape_of(node.inputs[0])[-1]
    parts = (ranges.get(f"{name}/{part}") for part in (_OWN, _TOP, _LOG_SUMS, _LOG_INVERSES))
    own, top, sums, inverses = (None if item is None else item[1] for item in parts)
    if own is None or top is None or sums is None or inverses is None:
        return None
    # As `noise` of own maxima, but of the largest maximum and sum of all samples, in logarithms.
    product, mass = (2.0 * item + inverses for item in (sums, top + 0.5 * log(length)))
    return log(own * BETTER) < float(np.logaddexp(product, mass))


def loses_mass(node: ir.Node, ranges: Mapping[str, Bounds]) -> bool:
    """Whether the library's op was seen to lose probability, if that was measured."""
    return ranges.get(f"{node.outputs[0].name}/{_LOST}", (0.0, 0.0))[1] > LOST * LEVELS
