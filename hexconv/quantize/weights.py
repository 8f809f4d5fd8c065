"""Quantization of weights, constants and biases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hexconv.arrays import blocks, release_pages
from hexconv.quantize.ranges import LEVELS, SMALLEST_STEP, Range, cover, symmetric

# Elements quantized at a time: temporaries stay in the cache, and a layer of 100 M weights does
# not need three float copies of itself.
CHUNK = 1 << 18
# A quarter of int32: the minimum of the result's range is taken off, and products are added.
LARGEST_BIAS = 2.0**29


@dataclass(frozen=True)
class QuantizedArray:
    """uint8 values and their range."""

    codes: npt.NDArray[np.uint8]
    range: Range


def quantize_weights(
    weights: npt.NDArray[np.float32],
    bias: npt.NDArray[np.floating[Any]] | None = None,
    step: float = 1.0,
    largest: float = LARGEST_BIAS,
) -> QuantizedArray:
    """Weights of any shape to uint8 with zero point 128, rounded half to even.

    v65 and v66 squeeze convolution weights of other zero points to int8 and lose accuracy
    (docs/nnlib/shipped-library.md#squeeze).

    Args:
        weights: float values.
        bias: added to their products; it has to fit into int32 at the product of the
            scales, so weights that are tiny relative to it get a larger scale.
        step: scale of what they are multiplied with.
        largest: bias that the accumulator holds, in products of the scales.
    """
    low, high = _bounds(weights)
    smallest = SMALLEST_STEP
    if bias is not None and bias.size:
        smallest = max(smallest, float(np.abs(bias).max()) / (step * largest))
    value_range = symmetric(low, high, smallest)
    encoded = encode(weights, value_range)
    release_pages(weights)
    return QuantizedArray(encoded, value_range)


def quantize_const(values: npt.NDArray[np.float32]) -> QuantizedArray:
    """A constant operand: quantized to the tightest range that contains it and 0."""
    low, high = _bounds(values)
    value_range = cover(low, high)
    return QuantizedArray(encode(values, value_range), value_range)


def quantize_bias(bias: npt.NDArray[np.float32], step: float) -> npt.NDArray[np.int32]:
    """A bias to int32 at `step`, the product of the input's and the weights' scales."""
    scaled = np.rint(bias.astype(np.float64) / step)
    limits = np.iinfo(np.int32)
    return np.clip(scaled, limits.min, limits.max).astype(np.int32)


def _bounds(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 0.0
    return float(values.min()), float(values.max())


def encode(values: npt.NDArray[np.float32], value_range: Range) -> npt.NDArray[np.uint8]:
    """Quantize values to a given range, clipped, rounded half to even; the result is contiguous."""
    codes = np.empty(values.shape, np.uint8)
    if values.flags.c_contiguous or values.ndim < 2:
        flat_in, flat_out = np.ascontiguousarray(values).reshape(-1), codes.reshape(-1)
        for start in range(0, flat_in.size, CHUNK):
            part = slice(start, start + CHUNK)
            flat_out[part] = _encoded(flat_in[part], value_range)
    else:  # transposed: a contiguous copy of the floats would be four times as large as the codes
        for block in blocks(values.shape):
            codes[block] = _encoded(values[block], value_range)
    return codes


def _encoded(values: npt.NDArray[np.float32], value_range: Range) -> npt.NDArray[np.float32]:
    scale, zero = np.float32(1.0 / value_range.step), np.float32(value_range.zero)
    part = values * scale
    np.rint(part, out=part)
    part += zero
    np.clip(part, 0, LEVELS, out=part)
    return part
