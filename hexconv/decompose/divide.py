"""Division by a computed tensor."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("Div")
def reciprocal_product(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """x / y is x * Reciprocal(y) where y is computed.

    QuantizedDiv_8 accepts only a scalar divisor or one per channel
    (docs/nnlib/shipped-library.md#division); the reciprocal is a lookup table on y, usually the
    smaller one.
    """
    numerator, divisor = node.inputs
    if array_of(divisor) is not None:
        return None
    reciprocal = builder.op("Reciprocal", [divisor])
    one = array_of(numerator)
    if one is not None and one.size == 1 and float(one.reshape(-1)[0]) == 1.0:
        return [reciprocal]
    return [builder.op("Mul", [numerator, reciprocal], name=str(node.name))]
