"""From float values to the library's quantized values: ranges, weights, biases."""

from hexconv.quantize.ranges import (
    LARGEST_NUMBER,
    Bounds,
    Range,
    cover,
    ending_near,
    run_time_ranges,
    symmetric,
)
from hexconv.quantize.weights import (
    LARGEST_BIAS,
    QuantizedArray,
    encode,
    quantize_bias,
    quantize_channels,
    quantize_const,
    quantize_copies,
    quantize_weights,
)

__all__ = [
    "LARGEST_BIAS",
    "LARGEST_NUMBER",
    "Bounds",
    "QuantizedArray",
    "Range",
    "cover",
    "encode",
    "ending_near",
    "quantize_bias",
    "quantize_channels",
    "quantize_const",
    "quantize_copies",
    "quantize_weights",
    "run_time_ranges",
    "symmetric",
]
