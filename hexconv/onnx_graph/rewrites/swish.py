"""SiLU, Swish: x * sigmoid(a x)."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rewrites.match import inner, made_by, near, product, product_of
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Mul", recognition=True)
def swish_from_sigmoid(node: ir.Node, builder: FloatBuilder) -> bool:
    """x * Sigmoid(a x) is Swish with alpha a; CLIP's quick GELU is the one of 1.702."""
    factors = product(node)
    if not near(factors.coefficient, 1.0):
        return False
    for value in factors.factors:
        gate = made_by(factors.other_than(value), "Sigmoid")
        if gate is None or gate.inputs[0] is None:
            continue
        scaled = product_of(gate.inputs[0])
        if gate.inputs[0] is value:
            alpha = 1.0
        elif scaled.factors == [value]:
            alpha = scaled.coefficient
        else:
            continue
        if inner(node, [value]):
            attrs = {"alpha": alpha} if alpha != 1.0 else None
            builder.replace(node, [builder.op("Swish", [value], attrs, name=str(node.name))])
            return True
    return False
