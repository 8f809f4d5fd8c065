"""x divided by its norm along an axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.rules import DECOMPOSITIONS

SMALLEST = np.float32(1e-12)
"""Norm that is divided by at least: that of torch.nn.functional.normalize."""


@DECOMPOSITIONS.rule("LpNormalization")
def by_norm(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """x * Reciprocal(ReduceL1 or ReduceL2), which returns zeros of zeros as ONNX Runtime does."""
    order = node.attributes["p"].as_int() if "p" in node.attributes else 2
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
    axes = np.array([axis], np.int64)
    norm = builder.op(f"ReduceL{order}", [node.inputs[0], axes], {"keepdims": 1})
    factor = builder.op("Reciprocal", [builder.op("Max", [norm, SMALLEST])])
    return [builder.op("Mul", [node.inputs[0], factor], name=str(node.name))]
