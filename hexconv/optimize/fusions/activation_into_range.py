"""ReLU and clips cost nothing where the node before them takes a static range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.build import array_of
from hexconv.optimize.fusions.edit import remove
from hexconv.optimize.registry import Bounds, Stage, rewrite

# Lowerings that request the range of their result, so that it saturates there.
SATURATING = {
    "Add", "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "Linear", "MatMul", "Mul",
    "ReduceMean", "Sub",
}  # fmt: skip


@rewrite(Stage.FUSION)
def activation_into_range(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """Relu and Clip around zero are the saturation of the node before them: its range is theirs."""
    count = 0
    for node in graph.nodes:
        source = node.inputs[0] if node.inputs else None
        producer = source.producer() if source is not None else None
        if producer is None or source is None or producer.op_type not in SATURATING:
            continue
        if len(source.uses()) != 1 or source.is_graph_output() or not _clips(node, observed):
            continue
        result = node.outputs[0]
        name = result.name
        ir.convenience.replace_all_uses_with(result, source, replace_graph_outputs=True)
        result.name = f"{name}/replaced"
        source.name = name
        remove(node)
        count += 1
    return count


def _clips(node: ir.Node, observed: Mapping[str, Bounds]) -> bool:
    """Whether the range observed behind the node, widened to hold zero, is where it clips."""
    if node.domain:
        return False
    if node.op_type == "Relu":
        return True
    if node.op_type != "Clip":
        return False
    low, high = (
        _bound(node, position, default) for position, default in ((1, -np.inf), (2, np.inf))
    )
    if low is None or high is None:
        return False
    seen_low, seen_high = observed[str(node.outputs[0].name)]
    # A side that calibration never reached needs no clip; one below zero or above it that it did
    # reach is where the range ends.
    return low <= 0.0 <= high and low <= seen_low and seen_high <= high


def _bound(node: ir.Node, position: int, default: float) -> float | None:
    if position >= len(node.inputs) or node.inputs[position] is None:
        return default
    array = array_of(node.inputs[position])
    return None if array is None else float(array.reshape(-1)[0])
