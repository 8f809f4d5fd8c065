"""A tanh that never comes close to -1 or 1, as a table in its own range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hexconv.onnx_graph import FloatGraph
from hexconv.optimize.fusions.edit import insert_custom_op, remove
from hexconv.optimize.registry import Stage, declined, rewrite
from hexconv.quantize import Bounds

WORTH = 0.75
"""Largest value from which on the library's own tanh, always -1..1, is accurate enough."""


@rewrite(Stage.FUSION)
def tanh_in_range(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """Tanh_8 always returns -1..1: a table spends all levels on the values that a vocoder has."""
    count = 0
    for node in graph.nodes:
        if node.op_type != "Tanh" or node.domain or not node.outputs[0].is_graph_output():
            continue
        largest = max(abs(bound) for bound in observed[str(node.outputs[0].name)])
        if largest >= WORTH:
            declined("tanh_in_range", node.name, f"it reaches {largest:.3g}, of {WORTH} allowed")
        else:
            insert_custom_op("Lookup", node, [node.inputs[0]], node.outputs[0], functions=np.tanh)
            remove(node)
            count += 1
    return count
