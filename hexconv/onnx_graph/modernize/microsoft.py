"""Activations that onnxruntime's optimizer writes in its own domain, as ONNX ops."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rules import MODERNIZATIONS


@MODERNIZATIONS.rule("com.microsoft::Gelu")
def gelu(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Gelu by erf."""
    return [builder.op("Gelu", [node.inputs[0]], name=str(node.name))]


@MODERNIZATIONS.rule("com.microsoft::FastGelu")
def fast_gelu(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Gelu by tanh, of the sum with an optional bias."""
    value = node.inputs[0]
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        value = builder.op("Add", [value, node.inputs[1]])
    return [builder.op("Gelu", [value], {"approximate": "tanh"}, name=str(node.name))]


@MODERNIZATIONS.rule("com.microsoft::QuickGelu")
def quick_gelu(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """x * sigmoid(alpha x) is Swish; alpha is 1.702 unless stated."""
    attr = node.attributes.get("alpha")
    alpha = 1.702 if attr is None else attr.as_float()
    return [builder.op("Swish", [node.inputs[0]], {"alpha": alpha}, name=str(node.name))]
