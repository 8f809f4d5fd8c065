"""Linears: products with constant weights, and the bias that is added to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph.builder import array_of, is_row, shape_of
from hexconv.onnx_graph.rewrites.match import made_by, read_once


@dataclass(frozen=True)
class Linear:
    """A product with constant weights, and what adds its bias.

    Attributes:
        product: the MatMul.
        bias: the node that adds a number for each output, and which of its inputs holds them; None
            if there is none.
    """

    product: ir.Node
    bias: tuple[ir.Node, int] | None

    @property
    def constants(self) -> tuple[tuple[ir.Node, int], ...]:
        """The weights, and the bias if there is one: nodes, and which of their inputs."""
        return ((self.product, 1),) if self.bias is None else ((self.product, 1), self.bias)


def weights_of(node: ir.Node | None) -> npt.NDArray[np.float32] | None:
    """(inputs, outputs) of a product with constant weights; None of other nodes."""
    if node is None or node.op_type != "MatMul" or node.domain:
        return None
    array = array_of(node.inputs[1])
    return array if array is not None and array.ndim == 2 and array.dtype == np.float32 else None


def linear_of(value: ir.Value) -> Linear | None:
    """What computes a value; nothing else reads the product in front of a bias."""
    bias = _bias(value)
    product = value if bias is None else bias[0].inputs[1 - bias[1]]
    node = made_by(product, "MatMul")
    if node is None or product is None or weights_of(node) is None:
        return None
    return Linear(node, bias) if bias is None or read_once(product) else None


def _bias(value: ir.Value) -> tuple[ir.Node, int] | None:
    """The node that adds a constant for each channel, and where."""
    add = made_by(value, "Add")
    if add is not None:
        for place, array in enumerate(map(array_of, add.inputs)):
            if array is not None and is_row(array, shape_of(value)[-1]):
                return add, place
    return None
