"""Masks of -inf, or near it: replaced by numbers for which softmax and ArgMax return the same."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import array_of
from hexconv.onnx_graph.selections import LAYOUT

PASSES = LAYOUT | {
    "Add",
    "Cast",
    "Clip",
    "Concat",
    "Expand",
    "Gather",
    "GatherElements",
    "Max",
    "Min",
    "Mul",
    "Pad",
    "Slice",
    "Sub",
    "Where",
}
ENDS = {"Softmax", "ArgMax"}
"""Ops that return the same for any number far below the others."""
MASKED = -10000.0
FARTHEST = 1e6
"""Beyond it a mask is held: no score comes near, and sums of masks stay finite."""


def finite_masks(graph: ir.Graph) -> None:
    """-inf in constants that reach only softmax and ArgMax becomes -10000; the rest at most 1e6."""
    for value in graph.initializers.values():
        array = array_of(value)
        if array is None or array.dtype != np.float32 or not array.size:
            continue
        low, high = float(array.min()), float(array.max())
        if high == np.inf or max(-low, high) <= FARTHEST or not _masks(value):
            continue
        finite = np.where(np.isneginf(array), np.float32(MASKED), array)
        value.const_value = ir.Tensor(
            np.clip(finite, np.float32(-FARTHEST), np.float32(FARTHEST)), name=value.name
        )


def _masks(value: ir.Value) -> bool:
    pending, seen = [value], {value}
    while pending:
        current = pending.pop()
        if current.is_graph_output():
            return False
        for use in current.uses():
            if use.node.op_type in ENDS and not use.node.domain:
                continue
            if use.node.op_type not in PASSES or use.node.domain:
                return False
            output = use.node.outputs[0]
            if output not in seen:
                seen.add(output)
                pending.append(output)
    return True
