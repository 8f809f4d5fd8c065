"""A triangle of a matrix as a product with ones and zeros."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("Trilu")
def triangle_mask(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """x times a constant mask; the diagonal must be constant."""
    diagonal = 0
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        array = array_of(node.inputs[1])
        if array is None:
            return None
        diagonal = int(array.reshape(-1)[0])
    upper = node.attributes.get("upper")
    rows, columns = shape_of(node.inputs[0])[-2:]
    ones = np.ones((rows, columns), np.float32)
    keep_upper = upper is None or upper.as_int() != 0
    mask = np.triu(ones, diagonal) if keep_upper else np.tril(ones, diagonal)
    return [builder.op("Mul", [node.inputs[0], mask], name=str(node.name))]
