"""A Linear layer as one convolution: MatMul by a constant, and its bias."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, constant, is_row, shape_of
from hexconv.optimize.fusions.edit import insert_custom_op, only_reader, remove
from hexconv.optimize.registry import Stage, declined, rewrite
from hexconv.quantize import Bounds

LARGE_MATRIX = 1 << 17
"""Weights from which on a single row is a thousand packets cheaper as MatMul, Requantize and Add.

Measured with `hexconv device profile` on the v60 library: 0.011 packets a multiply-accumulate
against 0.020, as a Supernode computes as many rows as fill a vector. From two rows on it wins.
"""


@rewrite(Stage.FUSION)
def linear(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """x W + b with constant W is one 1x1 Supernode: a third of MatMul, Requantize and Add."""
    count = 0
    for node in graph.nodes:
        if node.op_type != "MatMul" or node.domain or array_of(node.inputs[0]) is not None:
            continue
        weights = array_of(node.inputs[1])
        shape = shape_of(node.inputs[0])
        if weights is None or weights.ndim != 2 or len(shape) < 2:
            continue
        if prod(shape[:-1]) == 1 and weights.size >= LARGE_MATRIX:
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
