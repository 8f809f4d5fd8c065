"""Attention masks of -inf: replaced by a number for which softmax returns zero as well."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import array_of

PASSES = {
    "Add",
    "Where",
    "Reshape",
    "Transpose",
    "Identity",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Expand",
    "Slice",
    "Concat",
    "Gather",
    "Max",
}
MASKED = -10000.0


def finite_masks(graph: ir.Graph) -> None:
    """-inf in constants that reach nothing but softmax becomes -10000."""
    for value in graph.initializers.values():
        array = array_of(value)
        if array is None or array.dtype != np.float32 or not array.size:
            continue
        if float(array.min()) == -np.inf and array.max() < np.inf and _masks(value):
            value.const_value = ir.Tensor(
                np.where(np.isneginf(array), np.float32(MASKED), array), name=value.name
            )


def _masks(value: ir.Value) -> bool:
    pending, seen = [value], {value}
    while pending:
        current = pending.pop()
        if current.is_graph_output():
            return False
        for use in current.uses():
            if use.node.op_type == "Softmax" and not use.node.domain:
                continue
            if use.node.op_type not in PASSES or use.node.domain:
                return False
            output = use.node.outputs[0]
            if output not in seen:
                seen.add(output)
                pending.append(output)
    return True
