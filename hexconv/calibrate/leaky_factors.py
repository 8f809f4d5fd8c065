"""LeakyRelu of a product whose negative values reach far: the product has the result's range.

Where a product has values from -7 to 1, a slope of 0.01 leaves -0.07 to 1 of them, in the levels of
-7 to 1. max(product, slope * product) is the same: both have the range of the result, below
which the first is cut off, since the second is larger there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.calibrate.changes import change_each
from hexconv.calibrate.leaky_inputs import slopes_of
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.quantize import Bounds, cover

WIDER = 3.0
"""Steps of the product in steps of the result from which on a second product is worth it: 9 dB."""


def leaky_factors(
    graph: FloatGraph, observed: Mapping[str, Bounds]
) -> tuple[dict[str, Bounds], int]:
    """Compute LeakyRelu and PRelu behind factors as a maximum where this has more levels.

    Args:
        graph: changed in place.
        observed: (min, max) of each value.

    Returns:
        The ranges, with those of the new values, and how many nodes were changed.
    """
    ranges = dict(observed)
    nodes = [node for node in graph.nodes if _loses_levels(node, ranges)]
    count = change_each(graph, nodes, lambda node, builder: _as_maximum(node, builder, ranges))
    return ranges, count


def _loses_levels(node: ir.Node, ranges: Mapping[str, Bounds]) -> bool:
    """Whether a node's result has a range much narrower than the product that it is of."""
    slopes, factors = slopes_of(node), _factors(node)
    if slopes is None or factors is None or not 0.0 < slopes.min() <= slopes.max() < 1.0:
        return False
    product, result = str(factors[0].outputs[0].name), str(node.outputs[0].name)
    if product not in ranges or result not in ranges:
        return False
    return cover(*ranges[product]).step > WIDER * cover(*ranges[result]).step


def _factors(node: ir.Node) -> tuple[ir.Node, ir.Value, npt.NDArray[np.float32]] | None:
    """The product or quotient in front of a node, what it is of, and its factors, which differ.

    One factor for all leaves the levels of what it multiplies as they are.
    """
    value = node.inputs[0]
    product = None if value is None else value.producer()
    if product is None or product.domain or product.op_type not in ("Mul", "Div"):
        return None
    orders = [product.inputs, tuple(reversed(product.inputs))]
    for data, factor in orders[: 1 if product.op_type == "Div" else 2]:
        array = array_of(factor)
        if data is not None and array is not None and array_of(data) is None and array.size > 1:
            return product, data, array
    return None


def _as_maximum(node: ir.Node, builder: FloatBuilder, ranges: dict[str, Bounds]) -> None:
    slopes, factors = slopes_of(node), _factors(node)
    assert slopes is not None and factors is not None
    product, data, array = factors
    leaky = array * slopes if product.op_type == "Mul" else array / slopes
    builder.at(node)
    parts = [builder.op(product.op_type, [data, item]) for item in (array, leaky)]
    for part in parts:
        ranges[str(part.name)] = ranges[str(node.outputs[0].name)]
    builder.replace(node, [builder.op("Max", parts, name=str(node.name))])
