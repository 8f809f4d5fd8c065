"""The number of multiply-accumulates of a node."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from hexconv.onnx_graph.builder import shape_of


def macs_of(node: ir.Node) -> int:
    """Multiply-accumulates of one node; 0 for ops without dot products."""
    match node.op_type:
        case "Conv":
            return _size(node.outputs[0]) * prod(shape_of(node.inputs[1])[1:])
        case "ConvTranspose":
            return _size(node.inputs[0]) * prod(shape_of(node.inputs[1])[1:])
        case "MatMul":
            return _size(node.outputs[0]) * shape_of(node.inputs[0])[-1]
        case "Gemm":
            attr = node.attributes.get("transA")
            transposed = attr is not None and attr.as_int() != 0
            return _size(node.outputs[0]) * shape_of(node.inputs[0])[0 if transposed else 1]
        case "LSTM" | "GRU" | "RNN":
            steps, batch = shape_of(node.inputs[0])[:2]
            weights = prod(shape_of(node.inputs[1])) + prod(shape_of(node.inputs[2]))
            return steps * batch * weights
    return 0


def _size(value: ir.Value | None) -> int:
    return prod(shape_of(value))
