"""Parts of layer norm and RMS norm: means over trailing axes, reciprocal roots."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from hexconv.onnx_graph.builder import array_of, shape_of
from hexconv.onnx_graph.rewrites.match import made_by, near, scalar, with_scalar


@dataclass(frozen=True)
class Mean:
    """The mean of `value` over its axes from `axis` on (negative), kept as ones."""

    value: ir.Value
    axis: int


def mean_of(value: ir.Value | None) -> Mean | None:
    """A ReduceMean over trailing axes with keepdims."""
    node = made_by(value, "ReduceMean")
    if node is None or node.inputs[0] is None:
        return None
    keep = node.attributes.get("keepdims")
    axes = array_of(node.inputs[1]) if len(node.inputs) > 1 else None
    rank = len(shape_of(node.inputs[0]))
    if axes is None or (keep is not None and keep.as_int() == 0):
        return None
    positions = sorted(int(axis) % rank for axis in axes)
    if not positions or positions != list(range(positions[0], rank)):
        return None
    return Mean(node.inputs[0], positions[0] - rank)


def square_of(value: ir.Value | None) -> ir.Value | None:
    """x of x*x or x^2."""
    power = made_by(value, "Pow")
    if power is not None and near(scalar(power.inputs[1]), 2.0):
        return power.inputs[0]
    product = made_by(value, "Mul")
    if product is not None and product.inputs[0] is product.inputs[1]:
        return product.inputs[0]
    return None


def root_of(value: ir.Value | None) -> ir.Value | None:
    """x of sqrt(x) or x^0.5."""
    root = made_by(value, "Sqrt")
    if root is not None:
        return root.inputs[0]
    power = made_by(value, "Pow")
    if power is not None and near(scalar(power.inputs[1]), 0.5):
        return power.inputs[0]
    return None


def inverse_root_of(value: ir.Value | None) -> ir.Value | None:
    """x of 1/sqrt(x), in any notation."""
    reciprocal = made_by(value, "Reciprocal")
    if reciprocal is not None:
        return root_of(reciprocal.inputs[0])
    quotient = made_by(value, "Div")
    if quotient is not None and near(scalar(quotient.inputs[0]), 1.0):
        return root_of(quotient.inputs[1])
    power = made_by(value, "Pow")
    if power is not None and near(scalar(power.inputs[1]), -0.5):
        return power.inputs[0]
    return None


def normalized(node: ir.Node) -> tuple[ir.Value, ir.Value] | None:
    """x and v of x / sqrt(v), where `node` is the last of the nodes that compute it."""
    left, right = node.inputs
    if node.op_type == "Div":
        inside = root_of(right)
        return (left, inside) if left is not None and inside is not None else None
    for value, other in ((left, right), (right, left)):
        inside = inverse_root_of(other)
        if value is not None and inside is not None:
            return value, inside
    return None


def with_epsilon(value: ir.Value) -> tuple[ir.Value, float] | None:
    """v and e of v + e; e is 0 for a bare value."""
    add = made_by(value, "Add")
    return with_scalar(add) if add is not None else (value, 0.0)
