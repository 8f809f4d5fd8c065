"""TopK of one element."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("TopK")
def top_one(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """ReduceMax and ArgMax, or ReduceMin and ArgMin, where k is 1."""
    count = array_of(node.inputs[1])
    if count is None or int(count.reshape(-1)[0]) != 1:
        return None
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
    largest = "largest" not in node.attributes or node.attributes["largest"].as_int() != 0
    kind = "Max" if largest else "Min"
    source, axes = node.inputs[0], np.array([axis], np.int64)
    value = builder.op(f"Reduce{kind}", [source, axes], {"keepdims": 1})
    place = builder.op(f"Arg{kind}", [source], {"axis": axis, "keepdims": 1})
    return [value, place]
