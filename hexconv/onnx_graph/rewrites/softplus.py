"""Softplus and Mish from their parts (Misra 2019)."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rewrites.match import inner, made_by, near, plus, product
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Log", recognition=True)
def softplus_from_log(node: ir.Node, builder: FloatBuilder) -> bool:
    """log(1 + exp(x)) is Softplus."""
    exp = made_by(plus(node.inputs[0], 1.0), "Exp")
    if exp is None or not inner(node, [exp.inputs[0]]):
        return False
    builder.replace(node, [builder.op("Softplus", [exp.inputs[0]], name=str(node.name))])
    return True


@SIMPLIFICATIONS.rule("Mul", recognition=True)
def mish_from_softplus(node: ir.Node, builder: FloatBuilder) -> bool:
    """x * tanh(Softplus(x)) is Mish."""
    factors = product(node)
    if not near(factors.coefficient, 1.0):
        return False
    for value in factors.factors:
        tanh = made_by(factors.other_than(value), "Tanh")
        softplus = made_by(tanh.inputs[0], "Softplus") if tanh is not None else None
        if softplus is not None and softplus.inputs[0] is value and inner(node, [value]):
            builder.replace(node, [builder.op("Mish", [value], name=str(node.name))])
            return True
    return False
