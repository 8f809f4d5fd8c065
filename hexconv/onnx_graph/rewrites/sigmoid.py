"""Sigmoid and Swish written with exponentials."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rewrites.match import inner, made_by, near, plus, scalar
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Div", "Reciprocal", recognition=True)
def sigmoid_from_exp(node: ir.Node, builder: FloatBuilder) -> bool:
    """1 / (1 + exp(-x)) is Sigmoid; x / (1 + exp(-x)) is Swish."""
    numerator, denominator = (None, node.inputs[0]) if len(node.inputs) == 1 else node.inputs
    exp = made_by(plus(denominator, 1.0), "Exp")
    negative = made_by(exp.inputs[0], "Neg") if exp is not None else None
    if negative is None:
        return False
    value = negative.inputs[0]
    if not inner(node, [value]):
        return False
    if numerator is None or near(scalar(numerator), 1.0):
        op_type = "Sigmoid"
    elif numerator is value:
        op_type = "Swish"
    else:
        return False
    builder.replace(node, [builder.op(op_type, [value], name=str(node.name))])
    return True
