"""Layer normalization from its parts (Ba, Kiros and Hinton 2016)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rewrites.match import inner, made_by
from hexconv.onnx_graph.rewrites.moments import (
    Mean,
    inverse_root_of,
    mean_of,
    normalized,
    square_of,
    with_epsilon,
)
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Div", "Mul", recognition=True)
def layer_norm_from_parts(node: ir.Node, builder: FloatBuilder) -> bool:
    """(x - mean) / sqrt(mean((x - mean)^2) + epsilon), over the last axes.

    The square may be a product or a power, the root a power, the division a product with a
    reciprocal, and x - mean may be computed twice. `norm_affine` merges scale and bias; Flax has
    the scale in the reciprocal, (x - mean) * (gamma / sqrt(...)).
    """
    parts = _scaled(node)
    if parts is None:
        return False
    centered = _centered(parts[0])
    spread = _variance(parts[1])
    if centered is None or spread is None or spread[0] != centered:
        return False
    value, axis = centered.value, centered.axis
    weight = fitted(parts[2], shape_of(value)[axis:])
    if weight is None or not inner(node, [value]):
        return False
    _put(node, builder, value, axis, spread[1], weight)
    return True


def _scaled(node: ir.Node) -> tuple[ir.Value, ir.Value, Array] | None:
    """x, v and gamma of x / sqrt(v), or of x * (gamma / sqrt(v)) with a constant gamma."""
    parts = normalized(node)
    if parts is not None:
        return (*parts, np.ones((), np.float32))
    for value, other in (tuple(node.inputs), tuple(reversed(node.inputs))):
        factors = made_by(other, "Mul")
        if node.op_type != "Mul" or value is None or factors is None:
            continue
        for inverse, gamma in (tuple(factors.inputs), tuple(reversed(factors.inputs))):
            inside, weight = inverse_root_of(inverse), array_of(gamma)
            if inside is not None and weight is not None:
                return value, inside, weight
    return None


@SIMPLIFICATIONS.rule("Add", recognition=True)
def layer_norm_of_tensorflow(node: ir.Node, builder: FloatBuilder) -> bool:
    """x*s + (beta - mean*s) with s = gamma / sqrt(variance + epsilon), as Keras writes it."""
    for scaled, shift in ((0, 1), (1, 0)):
        product = made_by(node.inputs[scaled], "Mul")
        minus = made_by(node.inputs[shift], "Sub")
        shifted = made_by(minus.inputs[1], "Mul") if minus is not None else None
        if product is None or minus is None or shifted is None:
            continue
        beta = minus.inputs[0]
        for value, scale in (tuple(product.inputs), tuple(reversed(product.inputs))):
            if _tensorflow(node, builder, value, scale, shifted, beta):
                return True
    return False


def _tensorflow(
    node: ir.Node,
    builder: FloatBuilder,
    value: ir.Value | None,
    scale: ir.Value | None,
    shifted: ir.Node,
    beta: ir.Value | None,
) -> bool:
    factors = made_by(scale, "Mul")
    offset = array_of(beta)
    if factors is None or offset is None or value is None:
        return False
    for inverse, gamma in (tuple(factors.inputs), tuple(reversed(factors.inputs))):
        inside = inverse_root_of(inverse)
        spread = _variance(inside) if inside is not None else None
        factor = array_of(gamma)
        if spread is None or factor is None:
            continue
        means = [mean_of(operand) for operand in shifted.inputs if operand is not scale]
        if means != [spread[0]] or spread[0].value is not value or not inner(node, [value]):
            continue
        wanted = shape_of(value)[spread[0].axis :]
        weight, bias = fitted(factor, wanted), fitted(offset, wanted)
        if weight is None or bias is None:
            continue
        _put(node, builder, value, spread[0].axis, spread[1], weight, bias)
        return True
    return False


def fitted(array: Array, wanted: tuple[int, ...]) -> Array | None:
    """A factor that varies only over the normalized axes, in their shape; else None."""
    while array.ndim > len(wanted) and array.shape[0] == 1:
        array = array[0]
    if array.ndim > len(wanted):
        return None
    try:
        return np.ascontiguousarray(np.broadcast_to(array, wanted))
    except ValueError:
        return None


def _put(
    node: ir.Node,
    builder: FloatBuilder,
    value: ir.Value,
    axis: int,
    epsilon: float,
    *weights: Array,
) -> None:
    attrs = {"axis": axis, "epsilon": epsilon}
    norm = builder.op("LayerNormalization", [value, *weights], attrs, name=str(node.name))
    builder.replace(node, [norm])


def _centered(value: ir.Value | None) -> Mean | None:
    """x of x - mean(x)."""
    minus = made_by(value, "Sub")
    mean = mean_of(minus.inputs[1]) if minus is not None else None
    return mean if mean is not None and minus and minus.inputs[0] is mean.value else None


def _variance(value: ir.Value) -> tuple[Mean, float] | None:
    """The value whose variance mean((x - mean)^2) + epsilon is, and epsilon."""
    parts = with_epsilon(value)
    squares = mean_of(parts[0]) if parts is not None else None
    centered = _centered(square_of(squares.value)) if squares is not None else None
    if parts is None or squares is None or centered is None or centered.axis != squares.axis:
        return None
    return centered, parts[1]
