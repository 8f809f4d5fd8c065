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
from hexconv.calibrate.linears import Linear, linear_of
from hexconv.calibrate.outlier_norms import ALIKE
from hexconv.onnx_graph.builder import FloatBuilder, array_of, row_of, shape_of
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
        linear: that f ends in.
    """

    difference: ir.Node
    add: ir.Node
    place: int
    linear: Linear


def center_const(node: ir.Node, position: int, builder: FloatBuilder) -> None:
    """Let a node read a constant without the mean of its last axis."""
    array = array_of(node.inputs[position])
    assert array is not None
    exact = array.astype(np.float64)
    centered = np.asarray(exact - exact.mean(axis=-1, keepdims=True), np.float32)
    builder.change_const(node, position, centered, "/centered")


def center_sums(differences: Iterable[ir.Node], builder: FloatBuilder) -> int:
    """Let nodes that subtract the mean of a sum be the sum of what is centered, where they can.

    Args:
        differences: nodes x - mean(x) over the last axis; the graph is changed in place.
        builder: of the graph.

    Returns:
        How many there were.
    """
    found = [item for node in differences if (item := _sum_of(node)) is not None]
    for item in found:
        _center(item, builder)
    return len(found)


def _sum_of(difference: ir.Node) -> CenteredSum | None:
    source = difference.inputs[0]
    add = made_by(source, "Add")
    if add is None or source is None or source.is_graph_output() or len(list(source.uses())) != 2:
        return None  # the mean reads it, and the difference
    if shape_of(source)[-1] < FEWEST:
        return None
    found = []
    for place in (0, 1):
        value, other = add.inputs[place], add.inputs[1 - place]
        linear = linear_of(other) if other is not None and read_once(other) else None
        alike = shape_of(value) == shape_of(source) and array_of(value) is None
        if alike and linear is not None:
            found.append(CenteredSum(difference, add, place, linear))
    return found[0] if len(found) == 1 else None


def _center(found: CenteredSum, builder: FloatBuilder) -> None:
    for node, position in found.linear.constants:
        center_const(node, position, builder)
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
