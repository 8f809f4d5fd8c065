"""The variance as exporters of Flax and TensorFlow write it: a difference of two means."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose, prod

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rewrites.match import made_by, read_once, reduced_axes, scalar, with_scalar
from hexconv.onnx_graph.rewrites.moments import square_of
from hexconv.onnx_graph.rules import SIMPLIFICATIONS

EXACT = 1e-5
"""Of 1/n in float32; a sum over n elements divided by n - 1 is no mean."""


@dataclass(frozen=True)
class _Average:
    """The mean of `value` over `axes` (counted from 0)."""

    value: ir.Value
    axes: tuple[int, ...]


@SIMPLIFICATIONS.rule("Sub", recognition=True)
def variance_from_squares(node: ir.Node, builder: FloatBuilder) -> bool:
    """mean(x^2) - mean(x)^2 becomes mean((x - mean(x))^2), over any axes.

    In 8 bits little is left of the difference of two numbers that are almost equal. A maximum with
    0 behind it, against a difference that rounding makes negative, is removed.
    """
    mean_value = square_of(node.inputs[1])
    squares, mean = _average_of(node.inputs[0]), _average_of(mean_value)
    if squares is None or mean is None or mean_value is None:
        return False
    shape = shape_of(mean_value)
    if squares.axes != mean.axes or square_of(squares.value) is not mean.value:
        return False
    if shape_of(node.outputs[0]) != shape or shape_of(node.inputs[0]) != shape:
        return False
    last = _bounded(node)
    kept = _mean_kept(mean_value, mean, builder)
    builder.at(node)
    centered = builder.op("Sub", [mean.value, kept])
    variance = _mean(builder.op("Mul", [centered, centered]), mean.axes, builder)
    if shape_of(variance) != shape:
        variance = builder.op("Reshape", [variance, np.array(shape, np.int64)])
    builder.replace(last, [variance])
    return True


def _average_of(value: ir.Value | None) -> _Average | None:
    """A ReduceMean, or a ReduceSum times 1/n."""
    total, factor = value, 1.0
    scaled = made_by(value, "Mul", "Div")
    if scaled is not None and scaled.op_type == "Mul":
        total, factor = with_scalar(scaled) or (None, 1.0)
    elif scaled is not None:
        divisor = scalar(scaled.inputs[1])
        total, factor = (scaled.inputs[0], 1 / divisor) if divisor else (None, 1.0)
    node = made_by(total, "ReduceMean" if scaled is None else "ReduceSum")
    source = node.inputs[0] if node is not None else None
    if node is None or source is None:
        return None
    axes = tuple(sorted(reduced_axes(node) or ()))
    count = prod(shape_of(source)[axis] for axis in axes)
    if not axes or (scaled is not None and not isclose(factor * count, 1.0, rel_tol=EXACT)):
        return None
    return _Average(source, axes)


def _bounded(node: ir.Node) -> ir.Node:
    """The maximum with 0 that alone reads the node; else the node."""
    value = node.outputs[0]
    reader = next((use.node for use in value.uses()), None)
    if reader is None or not read_once(value) or reader.domain:
        return node
    if reader.op_type == "Relu":
        return reader
    if reader.op_type == "Max" and len(reader.inputs) == 2:
        found = with_scalar(reader)
        same = shape_of(reader.outputs[0]) == shape_of(value)
        return reader if found is not None and found[1] <= 0.0 and same else node
    if reader.op_type == "Clip" and not any(v is not None for v in reader.inputs[2:]):
        bound = scalar(reader.inputs[1]) if len(reader.inputs) > 1 else None
        return reader if bound is not None and bound <= 0.0 else node
    return node


def _mean_kept(value: ir.Value, mean: _Average, builder: FloatBuilder) -> ir.Value:
    """The mean with axes of size 1; all that read the mean as it was written read this one."""
    node = value.producer()
    assert node is not None
    rank = len(shape_of(mean.value))
    if node.op_type == "ReduceMean" and len(shape_of(value)) == rank:
        return value
    shape = shape_of(value)
    kept = _mean(mean.value, mean.axes, builder.at(node))
    same = kept
    if shape_of(kept) != shape:
        same = builder.op("Reshape", [kept, np.array(shape, np.int64)])
    builder.replace(node, [same])
    return kept


def _mean(value: ir.Value, axes: tuple[int, ...], builder: FloatBuilder) -> ir.Value:
    return builder.op("ReduceMean", [value, np.array(axes, np.int64)], {"keepdims": 1})
