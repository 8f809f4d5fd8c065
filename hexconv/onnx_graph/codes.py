"""What the integers of QuantizeLinear and DequantizeLinear stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import array_of
from hexconv.quantize import Bounds


@dataclass(frozen=True)
class Codes:
    """What integers stand for: (code - zero) * scale, from `low` to `high`."""

    scale: float
    zero: float
    low: float
    high: float

    def value(self, code: float) -> float:
        """The number that a code stands for."""
        return (code - self.zero) * self.scale

    @property
    def bounds(self) -> Bounds:
        """The values of the lowest and the highest integer."""
        return self.value(self.low), self.value(self.high)


def codes_of(node: ir.Node) -> Codes | None:
    """What a node's integers stand for; None if that is not one scale."""
    scale = array_of(node.inputs[1])
    if scale is None or scale.size != 1:
        return None
    dtype, zero = dtype_of(node), 0.0
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        found = array_of(node.inputs[2])
        if found is None or found.size != 1:
            return None
        dtype, zero = found.dtype, float(found.reshape(-1)[0])
    if dtype is None or dtype.itemsize > 2 or dtype == np.float32:
        return None
    step = float(scale.reshape(-1)[0])
    return Codes(step, zero, *ends_of(dtype))


def ends_of(dtype: np.dtype[np.generic]) -> tuple[float, float]:
    """The lowest and highest number of an integer or float8 type, those of 4 bits too."""
    describe: Any = ml_dtypes.finfo if "float" in dtype.name else ml_dtypes.iinfo
    limits = describe(dtype)
    return float(limits.min), float(limits.max)


def dtype_of(node: ir.Node) -> np.dtype[np.generic] | None:
    """Of the integers of a node without a zero point."""
    value = node.outputs[0] if node.op_type == "QuantizeLinear" else node.inputs[0]
    if value is None or value.dtype is None:
        return np.dtype(np.uint8) if node.op_type == "QuantizeLinear" else None
    return np.dtype(value.dtype.numpy())
