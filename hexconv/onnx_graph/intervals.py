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
    inputs = [interval(v, depth - 1) for v in node.inputs if v is not None]
    return _of(node, inputs) if inputs else (-inf, inf)


def _of(node: ir.Node, inputs: list[Interval]) -> Interval:
    low, high = inputs[0]
    match node.op_type:
        case op if op in WITHIN_FIRST:
            return low, high
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
        case "Mul" if node.inputs[0] is node.inputs[1] or min(low, inputs[1][0]) >= 0.0:
            return 0.0, inf
        case "Clip":
            return _clipped(node, low, high)
    return -inf, inf


def _clipped(node: ir.Node, low: float, high: float) -> Interval:
    bounds = [*(array_of(value) for value in node.inputs[1:3]), None, None]
    if bounds[0] is not None:
        low, high = max(low, float(bounds[0].item())), max(high, float(bounds[0].item()))
    if bounds[1] is not None:
        low, high = min(low, float(bounds[1].item())), min(high, float(bounds[1].item()))
    return low, high
