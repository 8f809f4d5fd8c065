"""The mean of a sum that a layer norm reads, subtracted from each operand before they are added.

In a post-norm network (BERT) a norm reads x + f(x), and Linears read x: its mean cannot go into the
weights of all that is added up (optimize/on_float/norm_centering.py). f ends in a Linear, whose
weights are centered; the mean of x = n * gamma + beta is a product of n, which is there. What is
normalized is one sum of three tensors then, rounded once (optimize/fusions/sums_by_channel.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.channel_groups import Floats
from hexconv.calibrate.outlier_norms import ALIKE
from hexconv.onnx_graph.builder import FloatBuilder, array_of, is_row, row_of, shape_of
from hexconv.onnx_graph.rewrites.match import made_by, read_once

FEWEST = 256
"""Channels, of fewer the sum takes too many packets beside the products: of 64, 12 to 22 %."""


@dataclass(frozen=True)
class CenteredSum:
    """x + f(x) less its mean.

    Attributes:
        difference: the node that subtracts the mean.
        add: the sum, which nothing else reads.
        place: which of its inputs is x.
        constants: weights, and the bias if there is one, of the Linear that f ends in.
    """

    difference: ir.Node
    add: ir.Node
    place: int
    constants: tuple[tuple[ir.Node, int], ...]


def center_sums(differences: Iterable[ir.Node], builder: FloatBuilder) -> None:
    """Let nodes that subtract the mean of a sum be the sum of what is centered, where they can.

    Args:
        differences: nodes x - mean(x) over the last axis; the graph is changed in place.
        builder: of the graph.
    """
    for node in differences:
        found = _sum_of(node)
        if found is not None:
            _center(found, builder)


def _sum_of(difference: ir.Node) -> CenteredSum | None:
    source = difference.inputs[0]
    add = made_by(source, "Add")
    if add is None or source is None or source.is_graph_output() or len(list(source.uses())) != 2:
        return None  # the mean reads it, and the difference
    if shape_of(source)[-1] < FEWEST:
        return None
    found = []
    for place in (0, 1):
        value, constants = add.inputs[place], _linear(add.inputs[1 - place])
        alike = shape_of(value) == shape_of(source) and array_of(value) is None
        if alike and constants is not None:
            found.append(CenteredSum(difference, add, place, constants))
    return found[0] if len(found) == 1 else None


def _linear(value: ir.Value | None) -> tuple[tuple[ir.Node, int], ...] | None:
    """The constants of a Linear that nothing but a sum reads."""
    if value is None or not read_once(value):
        return None
    bias = _bias(value)
    inner = value if bias is None else bias[0].inputs[1 - bias[1]]
    product = made_by(inner, "MatMul")
    weights = array_of(product.inputs[1]) if product is not None else None
    if product is None or inner is None or not read_once(inner):
        return None
    if weights is None or weights.ndim != 2:
        return None
    return ((product, 1),) if bias is None else ((product, 1), bias)


def _bias(value: ir.Value) -> tuple[ir.Node, int] | None:
    """The node that adds a constant for each channel, and where."""
    add, width = made_by(value, "Add"), shape_of(value)[-1]
    for place, array in enumerate(map(array_of, add.inputs) if add is not None else ()):
        if array is not None and is_row(array, width):
            return (add, place) if add is not None else None
    return None


def _center(found: CenteredSum, builder: FloatBuilder) -> None:
    for node, position in found.constants:
        value = node.inputs[position]
        array = array_of(value)
        assert array is not None and value is not None
        exact = array.astype(np.float64)
        centered = np.asarray(exact - exact.mean(axis=-1, keepdims=True), np.float32)
        node.replace_input_with(position, builder.const(centered, f"{value.name}/centered"))
    value, total = found.add.inputs[found.place], found.add.outputs[0]
    assert value is not None
    mean = _mean(value, builder.at(found.add))
    found.add.replace_input_with(found.place, builder.op("Sub", [value, mean]))
    result = found.difference.outputs[0]
    ir.convenience.replace_all_uses_with(result, total)
    builder.remove(found.difference)
    total.name = str(result.name)


def _mean(value: ir.Value, builder: FloatBuilder) -> ir.Value:
    """The mean of each row of a value, for each channel."""
    width = shape_of(value)[-1]
    source, gamma, beta = _affine(value, width)
    column = np.repeat(gamma[:, None] / width, ALIKE, axis=1)
    mean = builder.op("MatMul", [source, np.float32(column)], name=f"{value.name}/mean")
    if beta.any():
        mean = builder.op("Add", [mean, np.full(ALIKE, beta.mean(), np.float32)])
    return builder.op("MatMul", [mean, np.full((ALIKE, width), 1.0 / ALIKE, np.float32)])


def _affine(value: ir.Value, width: int) -> tuple[ir.Value, Floats, Floats]:
    """n, gamma and beta of n * gamma + beta: the value itself, ones and zeros if it is none."""
    rows = []
    for op, neutral in (("Add", np.zeros(width)), ("Mul", np.ones(width))):
        node = made_by(value, op)
        row = row_of(node.inputs[1], width) if node is not None else None
        rows.append(neutral if row is None else row)
        if node is not None and row is not None and node.inputs[0] is not None:
            value = node.inputs[0]
    beta, gamma = rows
    return value, gamma, beta
