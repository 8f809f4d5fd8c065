"""Softmax over long, flat rows: probabilities in the range that they have, not in 0..1.

The library's softmax returns 255 levels of 0..1. Over hundreds of frames a probability is a level
or less: most round to zero, and the row loses its mass. Computed as exp relative to the row's
maximum, divided by its sum, the result has any range. It costs a table an element, so that rows
that have a large probability, or are short, keep the library's op.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.quantize import Bounds
from hexconv.quantize.ranges import LEVELS

LEAST_LEVELS = 1.5
"""Levels of 0..1 that a row's mean probability has; with fewer it loses its mass."""
LARGEST = 0.79
"""Largest probability that was seen; a larger one gains less than 2 dB."""
LOWEST_SCORE = -log(2.0 * LEVELS)
"""Below it, exp rounds to 0 in 255 levels of 0..1."""


def flat_softmax(
    graph: FloatGraph, observed: Mapping[str, Bounds]
) -> tuple[dict[str, Bounds], int]:
    """Softmax of long rows without a large probability as exp, sum and quotient.

    Args:
        graph: changed in place.
        observed: (min, max) of each value.

    Returns:
        The ranges, with those of the new values, and how many nodes were changed.
    """
    ranges = dict(observed)
    nodes = [node for node in graph.nodes if _is_flat(node, ranges)]
    if nodes:
        builder = FloatBuilder(graph.graph)
        for node in nodes:
            _written_out(node, builder.at(node), ranges)
    return ranges, len(nodes)


def _is_flat(node: ir.Node, ranges: Mapping[str, Bounds]) -> bool:
    if node.op_type != "Softmax" or node.domain:
        return False
    bounds = ranges.get(str(node.outputs[0].name))
    return (
        bounds is not None
        and 0.0 < bounds[1] < LARGEST
        and LEAST_LEVELS * shape_of(node.inputs[0])[_axis(node)] > LEVELS
        and str(getattr(node.inputs[0], "name", "")) in ranges
    )


def _axis(node: ir.Node) -> int:
    axis = node.attributes.get("axis")
    return (-1 if axis is None else axis.as_int()) % len(shape_of(node.inputs[0]))


def _written_out(node: ir.Node, builder: FloatBuilder, ranges: dict[str, Bounds]) -> None:
    source = node.inputs[0]
    assert source is not None
    axis, largest = _axis(node), ranges[str(node.outputs[0].name)][1]
    axes, length = np.array([axis], np.int64), shape_of(source)[axis]
    low, high = ranges[str(source.name)]

    def made(op: str, inputs: list[ir.Value | np.ndarray], bounds: Bounds) -> ir.Value:
        attributes = {"keepdims": 1} if op.startswith("Reduce") else {}
        value = builder.op(op, inputs, attributes)
        ranges[str(value.name)] = bounds
        return value

    top = made("ReduceMax", [source, axes], (low, high))
    below = made("Sub", [source, top], (max(low - high, LOWEST_SCORE), 0.0))
    mass = made("Exp", [below], (0.0, 1.0))
    total = made("ReduceSum", [mass, axes], (0.0, float(length)))
    share = made("Reciprocal", [total], (0.0, largest))
    result = builder.op("Mul", [mass, share], name=str(node.name))
    builder.replace(node, [result])
