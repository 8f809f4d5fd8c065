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
# How far from a multiple of a step, in steps, a weight may be that was quantized to it; how many
# weights along each axis are tried first.
OFF_GRID, SAMPLED = 2.0**-8, 16
# The library is exact from 1/1024 on, and accepts none below 1/2048
# (docs/nnlib/quirks.md#supernode).
SMALLEST_SCALE = 2.0**-10
# A quarter of int32: the minimum of the result's range is taken off, and products are added.
LARGEST_BIAS = 2.0**29


@dataclass(frozen=True)
class QuantizedArray:
    """uint8 values and their range."""

    codes: npt.NDArray[np.uint8]
    range: Range


@dataclass(frozen=True)
class ChannelWeights:
    """uint8 weights whose channels have scales of their own.

    Attributes:
        codes: a weight of channel c is `scales[c] * range.step * (code - range.zero)`.
        range: of the channel with the largest weights.
        scales: (channels,) float32 in 1/1024..1.
    """

    codes: npt.NDArray[np.uint8]
    range: Range
    scales: npt.NDArray[np.float32]


def quantize_channels(
    weights: npt.NDArray[np.float32],
    axis: int,
    offsets: npt.NDArray[np.floating[Any]],
    step: float,
    largest: float = LARGEST_BIAS,
    period: int | None = None,
) -> ChannelWeights:
    """Weights to uint8 with zero point 128 and a scale for each channel.

    Args:
        weights: float values of any shape.
        axis: the axis of the output channels.
        offsets: (channels,) what is added to the products of each channel, without its sign; it
            has to fit into the accumulator, whose step is that of the channel.
        step: scale of what the weights are multiplied with.
        largest: offset that the accumulator holds, in products of the scales.
        period: channels after which the scales have to repeat.
    """
    rest = tuple(place for place in range(weights.ndim) if place != axis)
    low, high = (ends(axis=rest).astype(np.float64) for ends in (weights.min, weights.max))
    own = np.maximum(np.maximum(-low / 128.0, high / 127.0), 0.0)
    # Weights that were quantized before are exact in their own steps, and in no other.
    symmetrical = np.maximum(-low, high) / 127.0
    own = np.where(_on_grid(weights, axis, symmetrical), symmetrical, own)
    least = np.abs(offsets) / (step * largest)
    value_range = symmetric(-128.0 * float(np.maximum(own, least).max()), 0.0)
    shared = np.full(own.size, value_range.step)
    own = np.where(_on_grid(weights, axis, shared), shared, own)
    own = np.maximum(own, least)
    if period is not None:
        own = _largest_by_place(own, period)
    scales = np.clip(own / value_range.step, SMALLEST_SCALE, 1.0).astype(np.float32)
    along = [1] * weights.ndim
    along[axis] = -1
    codes = encode(weights, value_range, scales.reshape(along))
    release_pages(weights)
    return ChannelWeights(codes, value_range, scales)


def _largest_by_place(steps: npt.NDArray[np.float64], period: int) -> npt.NDArray[np.float64]:
    """(channels,) the largest step of all channels at the same place of their period."""
    rows = np.pad(steps, (0, -steps.size % period)).reshape(-1, period)
    return np.tile(rows.max(axis=0), len(rows))[: steps.size]


def _on_grid(
    weights: npt.NDArray[np.float32], axis: int, steps: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which channels along `axis` are multiples of their steps (channels,)."""
    columns = np.moveaxis(weights, axis, -1)
    first = columns[(slice(SAMPLED),) * (columns.ndim - 1)]
    exact = steps > 0.0
    # Few weights tell in almost every case, at no cost for large layers.
    for part in (first, columns):
        if not exact.any():
            break
        counts = part[..., exact] / steps[exact]
        off = np.abs(counts - np.rint(counts)).reshape(-1, counts.shape[-1])
        exact[exact] = (off < OFF_GRID).all(axis=0)
    return exact


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


def quantize_copies(
    weights: npt.NDArray[np.float32],
    copies: int,
    axis: int,
    bias: npt.NDArray[np.floating[Any]],
    step: float,
) -> QuantizedArray:
    """Weights of data that is there several times: the copies' weights add up to finer ones.

    Args:
        weights: float values of any shape.
        copies: how often the data is there.
        axis: that of the data's channels, along which the copies are.
        bias: added to their products, as for `quantize_weights`.
        step: scale of what they are multiplied with.
    """
    value_range = quantize_weights(weights / np.float32(copies), bias, step).range
    zero = value_range.zero
    counts = np.rint(weights.astype(np.float64) / value_range.step)
    counts = np.clip(counts, -zero * copies, (LEVELS - zero) * copies)
    parts = [np.floor((counts + place) / copies) + zero for place in range(copies)]
    return QuantizedArray(np.concatenate(parts, axis).astype(np.uint8), value_range)


def quantize_const(
    values: npt.NDArray[np.float32], value_range: Range | None = None
) -> QuantizedArray:
    """A constant operand: in the tightest range that contains it and 0, or in a given one."""
    value_range = value_range or cover(*_bounds(values))
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


def encode(
    values: npt.NDArray[np.float32],
    value_range: Range,
    scales: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.uint8]:
    """Quantize values to a given range, clipped, rounded half to even; the result is contiguous.

    Args:
        values: float values.
        value_range: their range.
        scales: what the range's step is multiplied with, of a shape that broadcasts to theirs.
    """
    codes = np.empty(values.shape, np.uint8)
    if scales is not None:
        wide = np.broadcast_to(scales, values.shape)
        for block in blocks(values.shape):
            codes[block] = _encoded(values[block] / wide[block], value_range)
    elif values.flags.c_contiguous or values.ndim < 2:
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
