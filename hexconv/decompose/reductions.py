"""Reductions that are compositions: norms, logarithms, products of few elements."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rewrites.match import reduced_axes
from hexconv.onnx_graph.rules import DECOMPOSITIONS

# Every factor of a product adds its own rounding: more than this are meaningless in 8 bits.
MOST_FACTORS = 16
# A square in 8 bits loses values below a sixteenth of its range; the root of the mean of few
# squares shows that error, the norm of many is never so small.
FEW_SQUARES = 16


@DECOMPOSITIONS.rule("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum")
def of_a_sum(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """A function before or after ReduceSum."""
    source, axes = node.inputs[0], reduced_axes(node)
    assert source is not None
    if axes is None or (node.op_type == "ReduceL2" and _pooled(source, axes)):
        return None
    name = str(node.name)
    if node.op_type == "ReduceL1":
        return [_sum(builder, node, builder.op("Abs", [source]), name)]
    if node.op_type == "ReduceLogSum":
        return [builder.op("Log", [_sum(builder, node, source)], name=name)]
    square = builder.op("Mul", [source, source])
    if node.op_type == "ReduceSumSquare":
        return [_sum(builder, node, square, name)]
    return [builder.op("Sqrt", [_sum(builder, node, square)], name=name)]


@DECOMPOSITIONS.rule("ReduceLogSumExp")
def log_sum_exp(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """max + log(sum(exp(x - max))): the exponentials fill 0..1."""
    source, axes = node.inputs[0], reduced_axes(node)
    if axes is None:
        return None
    keep, index = {"keepdims": 1}, np.array(axes, np.int64)
    largest = builder.op("ReduceMax", [source, index], keep)
    powers = builder.op("Exp", [builder.op("Sub", [source, largest])])
    total = builder.op("Log", [builder.op("ReduceSum", [powers, index], keep)])
    return [_shaped(builder, node, builder.op("Add", [total, largest]))]


@DECOMPOSITIONS.rule("ReduceProd")
def product_of_few(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """A chain of products of slices."""
    value, axes = node.inputs[0], reduced_axes(node)
    assert value is not None
    if axes is None or prod(shape_of(value)[axis] for axis in axes) > MOST_FACTORS:
        return None
    for axis in axes:
        count = shape_of(value)[axis]
        if count == 1:
            continue
        sizes = np.ones(count, np.int64)
        first, *others = builder.ops("Split", [value, sizes], {"axis": axis}, outputs=count)
        for other in others:
            first = builder.op("Mul", [first, other])
        value = first
    return [_shaped(builder, node, value)]


def _pooled(source: ir.Value, axes: Sequence[int]) -> bool:
    """Whether a norm is over so few elements that the library's pool computes it."""
    return prod(shape_of(source)[axis] for axis in axes) <= FEW_SQUARES


def _sum(builder: FloatBuilder, node: ir.Node, value: ir.Value, name: str = "") -> ir.Value:
    attrs = {key: attr.value for key, attr in node.attributes.items()}
    return builder.op("ReduceSum", [value, *node.inputs[1:]], attrs, name=name)


def _shaped(builder: FloatBuilder, node: ir.Node, value: ir.Value) -> ir.Value:
    shape = shape_of(node.outputs[0])
    if shape == shape_of(value):
        return value
    return builder.op("Reshape", [value, np.array(shape, np.int64)], name=str(node.name))
