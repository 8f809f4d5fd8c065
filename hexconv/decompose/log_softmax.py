"""Log of softmax, without the small probabilities that 8 bits cannot represent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("LogSoftmax")
def shifted_log_sum(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """(x - max) - log(sum(exp(x - max))).

    The sum is at least 1, so its logarithm is fine-grained; the logarithm of a softmax in uint8
    is -inf below log(1/255).
    """
    attr = node.attributes.get("axis")
    axes = np.array([-1 if attr is None else attr.as_int()], np.int64)
    source = node.inputs[0]
    highest = builder.op("ReduceMax", [source, axes], {"keepdims": 1})
    shifted = builder.op("Sub", [source, highest])
    total = builder.op("ReduceSum", [builder.op("Exp", [shifted]), axes], {"keepdims": 1})
    return [builder.op("Sub", [shifted, builder.op("Log", [total])], name=str(node.name))]
