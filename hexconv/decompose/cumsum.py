"""A running sum as a product with a triangular matrix of ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.decompose.along import product_along
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS

# The matrix is a const of n * n bytes.
LONGEST = 2048


@DECOMPOSITIONS.rule("CumSum")
def triangle_product(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """y = x T along the axis, T[i, j] = 1 where element i is part of sum j."""
    data, axis = node.inputs[0], array_of(node.inputs[1])
    if data is None or axis is None:
        return None
    shape = shape_of(data)
    place = int(axis.reshape(-1)[0]) % len(shape)
    if shape[place] > LONGEST:
        return None
    flags = {name: bool(attr.value) for name, attr in node.attributes.items()}
    shift = 1 if flags.get("exclusive", False) else 0
    ones = np.ones((shape[place], shape[place]), np.float32)
    # Element i is part of sum j from j = i on; in reverse, up to j = i.
    matrix = np.tril(ones, -shift) if flags.get("reverse", False) else np.triu(ones, shift)
    return [product_along(builder, data, matrix, place, str(node.name))]
