"""What a value can be at most and at least, whatever the data: from the op that computes it."""

from __future__ import annotations

from math import inf

import onnx_ir as ir

from hexconv.onnx_graph.builder import array_of
from hexconv.onnx_graph.selections import SELECTIONS

Interval = tuple[float, float]

FIXED: dict[str, Interval] = {
    "Abs": (0.0, inf),
    "Erf": (-1.0, 1.0),
    "Exp": (0.0, inf),
    "HardSigmoid": (0.0, 1.0),
    "ReduceL1": (0.0, inf),
    "ReduceL2": (0.0, inf),
    "ReduceSumSquare": (0.0, inf),
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Softplus": (0.0, inf),
    "Sqrt": (0.0, inf),
    "Tanh": (-1.0, 1.0),
}
WITHIN_FIRST = SELECTIONS | {
    "GlobalAveragePool",
    "GlobalMaxPool",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
}
FROM_INPUTS = WITHIN_FIRST | {
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "LeakyRelu",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Relu",
    "ThresholdedRelu",
}
DEPTH = 12
"""Of the nodes that are looked through."""


def interval(value: ir.Value | None, depth: int = DEPTH) -> Interval:
    """(least, most) of a value's elements; infinite where that is not known."""
    array = array_of(value)
    if array is not None and array.size and array.dtype.kind == "f":
        return float(array.min()), float(array.max())
    node = None if value is None else value.producer()
    if node is None or node.domain or depth == 0:
        return -inf, inf
    if node.op_type in FIXED:
        return FIXED[node.op_type]
    if node.op_type not in FROM_INPUTS:
        return -inf, inf
    inputs = [interval(v, depth - 1) for v in node.inputs if v is not None]
    return _of(node, inputs) if inputs else (-inf, inf)


def _of(node: ir.Node, inputs: list[Interval]) -> Interval:
    low, high = inputs[0]
    match node.op_type:
        case "Relu":
            return max(low, 0.0), max(high, 0.0)
        case "AveragePool":
            return min(low, 0.0), max(high, 0.0)
        case "Concat":
            return min(low for low, _ in inputs), max(high for _, high in inputs)
        case "Max":
            return max(low for low, _ in inputs), max(high for _, high in inputs)
        case "Min":
            return min(low for low, _ in inputs), min(high for _, high in inputs)
        case "Add":
            return low + inputs[1][0], high + inputs[1][1]
        case "Neg":
            return -high, -low
        case "Mul":
            return _product(node, *inputs)
        case "LeakyRelu":
            slope = _alpha(node, 0.01)
            return _around(*(x if x > 0.0 else _times(slope, x) for x in (low, high)), 0.0)
        case "ThresholdedRelu":
            above = max(low, _alpha(node, 1.0))
            return (0.0, 0.0) if high <= above else (min(0.0, above), max(0.0, high))
        case "Clip":
            return _clipped(node, low, high)
        case _:
            return low, high


def _product(node: ir.Node, one: Interval, other: Interval) -> Interval:
    """Zero times any number is zero: data are finite."""
    low, high = _around(*(_times(x, y) for x in one for y in other))
    return (max(low, 0.0), high) if node.inputs[0] is node.inputs[1] else (low, high)


def _times(x: float, y: float) -> float:
    return 0.0 if x == 0.0 or y == 0.0 else x * y


def _around(*values: float) -> Interval:
    return min(values), max(values)


def _alpha(node: ir.Node, default: float) -> float:
    attribute = node.attributes.get("alpha")
    return default if attribute is None else attribute.as_float()


def _clipped(node: ir.Node, low: float, high: float) -> Interval:
    bounds = [*(array_of(value) for value in node.inputs[1:3]), None, None]
    if bounds[0] is not None:
        low, high = max(low, float(bounds[0].item())), max(high, float(bounds[0].item()))
    if bounds[1] is not None:
        low, high = min(low, float(bounds[1].item())), min(high, float(bounds[1].item()))
    return low, high
