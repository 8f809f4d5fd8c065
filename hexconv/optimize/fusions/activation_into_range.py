"""ReLU and clips cost nothing where the node before them has a static output range."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
import onnx_ir as ir

from hexconv.annotations import annotate, notes_of
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, shape_of
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.optimize.fusions.edit import remove
from hexconv.optimize.registry import Stage, declined, rewrite
from hexconv.quantize import Bounds

# Lowerings whose result has the range that was requested, so that it saturates there.
SATURATING = {
    "Add",
    "Affine",
    "BatchNormalization",
    "Conv",
    "ConvTranspose",
    "GlobalAveragePool",
    "Linear",
    "MatMul",
    "Mul",
    "ReduceMean",
    "Sub",
}

MEANS = ("GlobalAveragePool", "ReduceMean")


@rewrite(Stage.FUSION)
def activation_into_range(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """Relu and Clip around zero become the saturation of the node before them, in their range."""
    count = 0
    for node in graph.nodes:
        source = node.inputs[0] if node.inputs else None
        producer = source.producer() if source is not None else None
        if producer is None or source is None or not _saturates(producer):
            continue
        limits = _limits(node)
        if limits is None:
            continue
        if not read_once(source):
            declined("activation_into_range", node.name, f"'{source.name}' is read elsewhere too")
            continue
        low, high = notes_of(producer).saturates or (-np.inf, np.inf)
        saturates = max(low, limits[0]), min(high, limits[1])
        if not saturates[0] < saturates[1]:
            declined("activation_into_range", node.name, "no range is so narrow: all results are 0")
            continue
        result = node.outputs[0]
        name = result.name
        ir.convenience.replace_all_uses_with(result, source, replace_graph_outputs=True)
        result.name = f"{name}/replaced"
        source.name = name
        annotate(producer, saturates=saturates)
        remove(node)
        count += 1
    return count


def _saturates(node: ir.Node) -> bool:
    """Whether a node ends at its range; the mean of single elements is a reshape of them."""
    if node.op_type in MEANS and prod(shape_of(node.inputs[0])) == prod(shape_of(node.outputs[0])):
        return False
    return node.op_type in SATURATING


def _limits(node: ir.Node) -> tuple[float, float] | None:
    """(low, high) of a Relu or Clip; None unless zero, which every range contains, is between."""
    if node.domain or node.op_type not in ("Relu", "Clip"):
        return None
    if node.op_type == "Relu":
        return 0.0, np.inf
    low, high = (
        _bound(node, position, default) for position, default in ((1, -np.inf), (2, np.inf))
    )
    if low is None or high is None or not low <= 0.0 <= high:
        return None
    return low, high


def _bound(node: ir.Node, position: int, default: float) -> float | None:
    if position >= len(node.inputs) or node.inputs[position] is None:
        return default
    array = array_of(node.inputs[position])
    return None if array is None else float(array.reshape(-1)[0])
