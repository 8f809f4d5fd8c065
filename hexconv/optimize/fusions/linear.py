"""A Linear layer as one convolution: MatMul by a constant, and its bias."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.nnlib.constraints import MOST_PRODUCTS
from hexconv.nnlib.layout import Shape4
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, constant, is_row, shape_of
from hexconv.optimize.fusions.edit import insert_custom_op, only_reader, remove
from hexconv.optimize.price import Prices
from hexconv.optimize.registry import Stage, declined, rewrite
from hexconv.quantize import Bounds

TWO_MORE_NODES = 1000
"""Packets that MatMul, Requantize and Add have to save to be worth two more nodes."""


@rewrite(Stage.FUSION, priced=True)
def linear(graph: FloatGraph, observed: Mapping[str, Bounds], prices: Prices) -> int:
    """x W + b with constant W is one 1x1 Supernode: a third of MatMul, Requantize and Add."""
    count = 0
    for node in graph.nodes:
        if node.op_type != "MatMul" or node.domain or array_of(node.inputs[0]) is not None:
            continue
        weights = array_of(node.inputs[1])
        shape = shape_of(node.inputs[0])
        if weights is None or weights.ndim != 2 or len(shape) < 2:
            continue
        if weights.shape[0] > MOST_PRODUCTS:
            declined("linear", node.name, f"a row of {weights.shape[0]} is too long")
            continue
        if prod(shape[:-1]) == 1 and _cheaper_as_product(weights, prices):
            declined("linear", node.name, "one row by a large matrix is cheaper as MatMul")
            continue
        add, bias = _bias(node, weights.shape[1])
        last = add or node
        if bias is None:
            bias = constant(f"{node.name}/no_bias", np.zeros(weights.shape[1], np.float32))
            graph.graph.register_initializer(bias)
        insert_custom_op("Linear", last, [node.inputs[0], node.inputs[1], bias], last.outputs[0])
        remove(*([add, node] if add else [node]))
        count += 1
    return count


def _cheaper_as_product(matrix: Array, prices: Prices) -> bool:
    """Whether a single row is cheaper as MatMul, Requantize and Add.

    A Supernode computes as many rows as fill a vector: 4.
    """
    depth, columns = matrix.shape
    row: Shape4 = (1, 1, 1, columns)
    weights: Shape4 = (1, 1, depth, columns)
    source: Shape4 = (1, 1, 1, depth)
    product = (
        prices.packets("QuantizedMatMul_8x8to32", [source, weights], row)
        + prices.packets("Requantize_32to8", [row], row)
        + prices.packets("QuantizedAdd_8p8to8", [row, row], row)
    )
    convolution = prices.converted("Supernode_8x8p32to8", [source, weights, row], row)
    return product + TWO_MORE_NODES < convolution


def _bias(node: ir.Node, columns: int) -> tuple[ir.Node | None, ir.Value | None]:
    """The bias-add after a product, and its constant."""
    reader = only_reader(node.outputs[0])
    if reader is None or reader.op_type != "Add" or reader.domain:
        return None, None
    position = 1 if reader.inputs[0] is node.outputs[0] else 0
    value = reader.inputs[position]
    array = array_of(value)
    if array is None or not is_row(array, columns):
        return None, None
    if reader.outputs[0].shape != node.outputs[0].shape:
        return None, None
    return reader, value
