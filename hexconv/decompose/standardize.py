"""x / sqrt(variance): the last step of every normalization."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder

Axes = npt.NDArray[Any]


def centered(builder: FloatBuilder, value: ir.Value, axes: Axes) -> ir.Value:
    """x - mean."""
    mean = builder.op("ReduceMean", [value, axes], {"keepdims": 1})
    return builder.op("Sub", [value, mean])


def inverse_deviation(
    builder: FloatBuilder, value: ir.Value, axes: Axes, epsilon: float
) -> ir.Value:
    """Reciprocal(Sqrt(mean of squares + epsilon))."""
    square = builder.op("Mul", [value, value])
    variance = builder.op("ReduceMean", [square, axes], {"keepdims": 1})
    deviation = builder.op("Sqrt", [builder.op("Add", [variance, np.float32(epsilon)])])
    return builder.op("Reciprocal", [deviation])


def standardized(
    builder: FloatBuilder, value: ir.Value, axes: Axes, epsilon: float, name: str = ""
) -> ir.Value:
    """x * Reciprocal(Sqrt(mean of squares + epsilon))."""
    factor = inverse_deviation(builder, value, axes, epsilon)
    return builder.op("Mul", [value, factor], name=name)
