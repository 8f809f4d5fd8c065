"""From float values to the library's quantized values: ranges, weights, biases."""

from hexconv.quantize.ranges import Bounds, Range, cover, symmetric
from hexconv.quantize.weights import (
    QuantizedArray,
    encode,
    quantize_bias,
    quantize_const,
    quantize_weights,
)

__all__ = [
    "Bounds",
    "QuantizedArray",
    "Range",
    "cover",
    "encode",
    "quantize_bias",
    "quantize_const",
    "quantize_weights",
    "symmetric",
]
