"""A product with a constant matrix along one axis."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, shape_of


def product_along(
    builder: FloatBuilder, value: ir.Value, matrix: npt.NDArray[Any], axis: int, name: str
) -> ir.Value:
    """sum over i of value[.., i, ..] * matrix[i, j] at j: `axis` is moved last for a MatMul."""
    rank = len(shape_of(value))
    if axis == rank - 1:
        return builder.op("MatMul", [value, matrix], name=name)
    swap = list(range(rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    turned = builder.op("Transpose", [value], {"perm": swap})
    product = builder.op("MatMul", [turned, matrix])
    return builder.op("Transpose", [product], {"perm": swap}, name=name)
