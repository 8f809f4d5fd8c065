"""HardSigmoid and HardSwish from their parts (Howard et al. 2019, MobileNetV3)."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rewrites.match import inner, made_by, near, plus, product, scalar
from hexconv.onnx_graph.rules import SIMPLIFICATIONS

SLOPE, MIDDLE = 1 / 6, 0.5


@SIMPLIFICATIONS.rule("Mul", "Div", recognition=True)
def hard_swish_from_parts(node: ir.Node, builder: FloatBuilder) -> bool:
    """x * clip(x + 3, 0, 6) / 6, or x * HardSigmoid(x) of slope 1/6, is HardSwish.

    clip(x + 3, 0, 6) / 6 alone is HardSigmoid.
    """
    factors = product(node)
    op_type, attrs, value = "", None, None
    if len(factors.factors) == 1 and near(factors.coefficient, SLOPE):
        value = _relu6_of_three_more(factors.factors[0])
        op_type, attrs = "HardSigmoid", {"alpha": SLOPE, "beta": MIDDLE}
    for operand in factors.factors:
        gate = factors.other_than(operand)
        clipped = _relu6_of_three_more(gate) is operand and near(factors.coefficient, SLOPE)
        if clipped or (_hard_sigmoid_of(gate) is operand and near(factors.coefficient, 1.0)):
            op_type, value = "HardSwish", operand
            attrs = None
    if value is None or not inner(node, [value]):
        return False
    builder.replace(node, [builder.op(op_type, [value], attrs, name=str(node.name))])
    return True


def _relu6_of_three_more(value: ir.Value | None) -> ir.Value | None:
    clip = made_by(value, "Clip")
    if clip is None or len(clip.inputs) < 3:
        return None
    if scalar(clip.inputs[1]) != 0.0 or scalar(clip.inputs[2]) != 6.0:
        return None
    return plus(clip.inputs[0], 3.0)


def _hard_sigmoid_of(value: ir.Value | None) -> ir.Value | None:
    node = made_by(value, "HardSigmoid")
    if node is None:
        return None
    alpha, beta = node.attributes.get("alpha"), node.attributes.get("beta")
    slope = alpha.as_float() if alpha is not None else 0.2
    middle = beta.as_float() if beta is not None else 0.5
    return node.inputs[0] if near(slope, SLOPE) and near(middle, MIDDLE) else None
