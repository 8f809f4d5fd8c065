"""Element-wise ops that are compositions of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("Mean")
def mean_of_many(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """A sum, divided by the number of operands."""
    count = len(node.inputs)
    if count == 1:
        return [builder.op("Identity", [node.inputs[0]], name=str(node.name))]
    total = builder.op("Sum", list(node.inputs))
    return [builder.op("Mul", [total, np.float32(1.0 / count)], name=str(node.name))]


@DECOMPOSITIONS.rule("Max", "Min")
def number_as_bound(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """The larger of x and a number is a Clip, whose bound need not be a value of x's range."""
    numbers = [
        (place, array)
        for place, value in enumerate(node.inputs)
        if (array := array_of(value)) is not None and array.size == 1
    ]
    if len(node.inputs) != 2 or len(numbers) != 1:
        return None
    place, number = numbers[0]
    value = node.inputs[1 - place]
    if value is None or value.dtype != ir.DataType.FLOAT or number.ndim > len(shape_of(value)):
        return None
    bound = np.asarray(number.reshape(-1)[0], np.float32)
    bounds = [bound] if node.op_type == "Max" else [None, bound]
    return [builder.op("Clip", [value, *bounds], name=str(node.name))]


@DECOMPOSITIONS.rule("Clip")
def computed_bounds(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """Computed bounds: a Max, then a Min."""
    bounds = [*node.inputs[1:], None, None][:2]
    if all(bound is None or array_of(bound) is not None for bound in bounds):
        return None
    value = node.inputs[0]
    for op, bound in zip(("Max", "Min"), bounds, strict=True):
        if bound is not None:
            value = builder.op(op, [value, bound])
    assert value is not None
    return [value]


@DECOMPOSITIONS.rule("PRelu")
def slopes_by_element(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """max(x, 0) - slope * max(-x, 0), where slopes are not constants by channel.

    The library takes one slope per channel (op_prelu_d32.c).
    """
    source, slope = node.inputs
    if array_of(slope) is not None and sum(size != 1 for size in shape_of(slope)) <= 1:
        return None
    below = builder.op("Relu", [builder.op("Neg", [source])])
    above = builder.op("Relu", [source])
    return [builder.op("Sub", [above, builder.op("Mul", [slope, below])], name=str(node.name))]
