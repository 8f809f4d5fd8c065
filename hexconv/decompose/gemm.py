"""Gemm as a matrix product and an addition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("Gemm")
def matmul_add(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """alpha A' B' + beta C: transposes and factors of constants fold away."""
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    left, right = (
        _turned(value, bool(attrs.get(flag, 0)), builder)
        for value, flag in zip(node.inputs[:2], ("transA", "transB"), strict=True)
    )
    alpha, beta = float(attrs.get("alpha", 1.0)), float(attrs.get("beta", 1.0))
    if alpha != 1.0:
        if array_of(right) is not None:
            right = builder.op("Mul", [right, np.float32(alpha)])
        else:
            left = builder.op("Mul", [left, np.float32(alpha)])
    addend = node.inputs[2] if len(node.inputs) > 2 else None
    if addend is None or beta == 0.0:
        return [builder.op("MatMul", [left, right], name=str(node.name))]
    product = builder.op("MatMul", [left, right])
    if beta != 1.0:
        addend = builder.op("Mul", [addend, np.float32(beta)])
    return [builder.op("Add", [product, addend], name=str(node.name))]


def _turned(value: ir.Value | None, turn: bool, builder: FloatBuilder) -> ir.Value:
    assert value is not None  # Gemm's schema
    return builder.op("Transpose", [value], {"perm": [1, 0]}) if turn else value
