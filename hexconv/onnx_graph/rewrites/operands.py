"""Constants come second: x + b and x * gamma are found however they are exported."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Add", "Mul", reported=False)
def constants_second(node: ir.Node, builder: FloatBuilder) -> bool:
    """c + x is x + c, and c * x is x * c (torch's `self.weight * hidden`)."""
    left, right = node.inputs
    if array_of(left) is None or array_of(right) is not None:
        return False
    node.replace_input_with(0, right)
    node.replace_input_with(1, left)
    return True
