"""GELU in both forms that exporters decompose it into (Hendrycks and Gimpel 2016, section 2)."""

from __future__ import annotations

from math import pi, sqrt

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rewrites.match import (
    inner,
    made_by,
    near,
    plus,
    product,
    product_of,
    scalar,
)
from hexconv.onnx_graph.rules import SIMPLIFICATIONS

CUBIC = 0.044715


@SIMPLIFICATIONS.rule("Mul", "Div", recognition=True)
def gelu_from_parts(node: ir.Node, builder: FloatBuilder) -> bool:
    """x/2 * (1 + erf(x/sqrt 2)), or x/2 * (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    The three factors may be multiplied in any order.
    """
    factors = product(node)
    if not near(factors.coefficient, 0.5):
        return False
    for value in factors.factors:
        curve = plus(factors.other_than(value), 1.0)
        attrs = None
        if _is_erf(made_by(curve, "Erf"), value):
            attrs = {"approximate": "none"}
        elif _is_tanh(made_by(curve, "Tanh"), value):
            attrs = {"approximate": "tanh"}
        if attrs is not None and inner(node, [value]):
            builder.replace(node, [builder.op("Gelu", [value], attrs, name=str(node.name))])
            return True
    return False


def _is_erf(node: ir.Node | None, value: ir.Value) -> bool:
    if node is None or node.inputs[0] is None:
        return False
    argument = product_of(node.inputs[0])
    return argument.factors == [value] and near(argument.coefficient, sqrt(0.5))


def _is_tanh(node: ir.Node | None, value: ir.Value) -> bool:
    if node is None or node.inputs[0] is None:
        return False
    argument = product_of(node.inputs[0])
    if not near(argument.coefficient, sqrt(2 / pi)):
        return False
    if len(argument.factors) == 1:  # x + c x^3
        add = made_by(argument.factors[0], "Add")
        return add is not None and any(
            add.inputs[k] is value and _is_power(add.inputs[1 - k], value, 3) for k in (0, 1)
        )
    tail = plus(argument.other_than(value), 1.0)  # x (1 + c x^2)
    return tail is not None and _is_power(tail, value, 2)


def _is_power(value: ir.Value | None, base: ir.Value, exponent: int) -> bool:
    """Whether `value` is 0.044715 base^exponent."""
    if value is None:
        return False
    term = product_of(value)
    degree = sum(_degree(factor, base) for factor in term.factors)
    return near(term.coefficient, CUBIC) and degree == exponent


def _degree(factor: ir.Value, base: ir.Value) -> float:
    if factor is base:
        return 1
    power = made_by(factor, "Pow")
    if power is not None and power.inputs[0] is base:
        return scalar(power.inputs[1]) or float("nan")
    squares = made_by(factor, "Mul")
    if squares is not None and all(value is base for value in squares.inputs):
        return 2
    return float("nan")
