"""A multiplication by a positive constant is only a change of range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of
from hexconv.optimize.fusions.edit import insert_custom_op, remove
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import Bounds


@rewrite(Stage.FUSION)
def scalar_into_range(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """x * c and x / c with a constant c > 0 keep their quantized values: only the range changes."""
    count = 0
    for node in graph.nodes:
        found = _factor(node)
        if found is None:
            continue
        value, factor = found
        result = node.outputs[0]
        insert_custom_op("Rescale", node, [value], result, {"factor": factor})
        remove(node)
        count += 1
    return count


def _factor(node: ir.Node) -> tuple[ir.Value, float] | None:
    if node.op_type not in ("Mul", "Div") or node.domain:
        return None
    pairs = [(0, 1)] if node.op_type == "Div" else [(0, 1), (1, 0)]
    for position, other in pairs:
        value, array = node.inputs[position], array_of(node.inputs[other])
        if array is None or array.size == 0 or value is None or value.is_graph_input():
            continue
        if array_of(value) is not None or value.shape != node.outputs[0].shape:
            continue
        number = float(array.reshape(-1)[0])
        if number > 0 and np.isfinite(number) and bool((array == array.reshape(-1)[0]).all()):
            return value, number if node.op_type == "Mul" else 1.0 / number
    return None
