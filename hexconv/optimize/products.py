"""Products with constant weights, and the same ones with more output channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.arrays import Array
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.optimize.fusions.edit import insert_custom_op, remove

PRODUCTS = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1}
"""Ops, and the axis of their weights that has the output channels."""


@dataclass(frozen=True)
class Product:
    """What makes an output.

    Attributes:
        node: the product.
        bias: (channels,) that is added.
        channels: the axis of its result that has them.
        last: the node whose result is complete: the product, or the Add of its bias.
        function: behind it, if there is one.
    """

    node: ir.Node
    bias: Array
    channels: int
    last: ir.Node
    function: ir.Node | None

    @property
    def weights(self) -> Array:
        """Of the product, in its own layout."""
        return np.asarray(array_of(self.node.inputs[1]), np.float32)

    @property
    def outputs(self) -> int:
        """The axis of the weights that has the output channels."""
        return PRODUCTS[self.node.op_type] % self.weights.ndim


def product_of(value: ir.Value, function: ir.Node | None = None) -> Product | None:
    """The product by constant weights that makes a value, its bias with it; None if it is none.

    Args:
        value: computed.
        function: behind it, if there is one.
    """
    node = value.producer()
    if node is None:
        return None
    if node.op_type == "Add":
        return _with_bias(node, function)
    return _plain(node, node, None, function)


def _with_bias(add: ir.Node, function: ir.Node | None) -> Product | None:
    for position in (0, 1):
        value, other = add.inputs[position], array_of(add.inputs[1 - position])
        maker = None if value is None else value.producer()
        if other is None or maker is None or shape_of(value) != shape_of(add.outputs[0]):
            continue
        channels = shape_of(value)[-1]
        if maker.op_type == "MatMul" and (
            other.size == 1 or other.size == channels == other.shape[-1]
        ):
            return _plain(maker, add, np.broadcast_to(other.reshape(-1), (channels,)), function)
    return None


def _plain(
    node: ir.Node, last: ir.Node, bias: Array | None, function: ir.Node | None
) -> Product | None:
    weights = array_of(node.inputs[1]) if len(node.inputs) > 1 else None
    # Gemm is MatMul here.
    if (
        weights is None
        or weights.ndim < 2
        or node.op_type not in PRODUCTS
        or notes_of(node).float_reason
    ):
        return None
    shape = shape_of(node.outputs[0])
    group = node.attributes.get("group")
    if (node.op_type == "MatMul" and weights.ndim != 2) or (
        group is not None and group.as_int() != 1
    ):
        return None
    channels = len(shape) - 1 if node.op_type == "MatMul" else 1
    own = array_of(node.inputs[2]) if len(node.inputs) > 2 else None
    if len(node.inputs) > 2 and node.inputs[2] is not None and own is None:
        return None
    total = np.zeros(shape[channels]) if bias is None else bias.astype(np.float64)
    if own is not None:
        if own.size not in (1, shape[channels]):
            return None
        total = total + own.reshape(-1)
    return Product(node, total, channels, last, function)


def widened(
    builder: FloatBuilder, product: Product, weights: Sequence[Array], biases: Sequence[Array]
) -> ir.Value:
    """The product with other weights and biases, several behind each other on its channels."""
    node = product.node
    tiled = np.concatenate(weights, axis=PRODUCTS[node.op_type])
    bias = np.concatenate(biases).astype(np.float32)
    if node.op_type == "MatMul":
        return _linear(builder, node.inputs[0], tiled, bias)
    return builder.op(node.op_type, [node.inputs[0], tiled, bias], dict(node.attributes))


def _linear(
    builder: FloatBuilder, source: ir.Value | None, weights: Array, bias: Array
) -> ir.Value:
    """One node, always: a product that is rounded before its bias is added has no slices."""
    made = builder.op("Add", [builder.op("MatMul", [source, weights]), bias])
    add = made.producer()
    assert add is not None and add.inputs[0] is not None
    product = add.inputs[0].producer()
    assert product is not None
    node = insert_custom_op("Linear", add, [source, product.inputs[1], add.inputs[1]], made)
    remove(add, product)
    return node.outputs[0]
