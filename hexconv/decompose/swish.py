"""Swish (SiLU) by the library's sigmoid."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("Swish")
def sigmoid_product(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """x * Sigmoid(x): 0.14 packets an element against a table's 2.9 (docs/nnlib/costs.md#rules)."""
    alpha = node.attributes.get("alpha")
    if alpha is not None and alpha.as_float() != 1.0:
        return None
    gate = builder.op("Sigmoid", [node.inputs[0]])
    return [builder.op("Mul", [node.inputs[0], gate], name=str(node.name))]
