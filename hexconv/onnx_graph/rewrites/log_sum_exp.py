"""The logarithm of a sum of exponentials, from its parts."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Log", recognition=True)
def log_sum_exp(node: ir.Node, builder: FloatBuilder) -> bool:
    """log(sum(exp(x))): ReduceLogSumExp keeps the exponentials under 1."""
    total = node.inputs[0].producer() if node.inputs[0] is not None else None
    if total is None or total.op_type != "ReduceSum" or total.inputs[0] is None:
        return False
    exponential = total.inputs[0].producer()
    if exponential is None or exponential.op_type != "Exp":
        return False
    attrs = {name: attr.value for name, attr in total.attributes.items()}
    inputs = [exponential.inputs[0], *total.inputs[1:]]
    result = builder.op("ReduceLogSumExp", inputs, attrs, name=str(node.name))
    builder.replace(node, [result])
    return True
