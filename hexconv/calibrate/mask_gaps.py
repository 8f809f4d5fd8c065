"""Whether what is added to scores is a mask: whether its values are near zero or far from it.

Negative distances, or scores with a bias, reach as far below zero as a mask does. A mask has no
values between those that keep a score and those that hide it; the range alone does not tell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.masks import FAR, JOINS, leads_to_selection, near_name
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of


def with_mask_gaps(graph: FloatGraph) -> list[FloatGraph]:
    """A copy that computes, beside its own values, those of possible masks that are near zero.

    Args:
        graph: it is not changed.

    Returns:
        It alone where a computed tensor is added to scores, or selected instead, else nothing.
    """
    if not any(True for _ in _possible_masks(graph)):
        return []
    copied = graph.copied()
    builder = FloatBuilder(copied.graph)
    for node, value in dict.fromkeys(_possible_masks(copied)):
        _compute_near(builder.at(node), value)
    return [copied]


def _possible_masks(graph: FloatGraph) -> Iterator[tuple[ir.Node, ir.Value]]:
    """The computed operands of joins that lead to softmax, ArgMax, a maximum or GELU."""
    seen: set[ir.Value] = set()
    for node in graph.nodes:
        if node.domain or node.op_type not in JOINS or not leads_to_selection(node):
            continue
        for index in JOINS[node.op_type]:
            value = node.inputs[index] if index < len(node.inputs) else None
            if value is not None and value not in seen and array_of(value) is None:
                seen.add(value)
                yield node, value


def _compute_near(builder: FloatBuilder, value: ir.Value) -> None:
    name = near_name(value)
    size = builder.op("Abs", [value], name=f"{name}/size")
    near = builder.op("Less", [size, np.float32(FAR)], name=f"{name}/is")
    builder.op("Where", [near, value, np.float32(0.0)], name=name)
