"""Convolution weights as the library packs them: exact on v60, squeezed on v65 and v66."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.simulator.numerics.fixed_point import F32

Float32 = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PackedWeights:
    """Weights ready for the product, and what the bias depends on.

    Args:
        codes: (kh*kw*in, out) uint8.
        zero: the zero point.
        sums: (out,) the library's `gemsumb`: the sum that it multiplies by the input's zero point.
        factor: (out,) float32 by which each channel has to be multiplied (`k_factor`), or None.
        inverse: (out,) float32, its reciprocal as the library computes it (`k_factor_recip`).
        largest: the largest factor, at least 1.
    """

    codes: npt.NDArray[np.uint8]
    zero: int
    sums: Int
    factor: Float32 | None
    inverse: Float32 | None
    largest: np.float32


def pack(
    weights: Array, zero: int, scales: Float32 | None, *, depth: int, squeeze: bool
) -> PackedWeights:
    """Pack one convolution's weights.

    Args:
        weights: (kh, kw, in, out) uint8.
        zero: the weights' zero point.
        scales: (out,) channel scales, or None.
        depth: the input depth that the library pads to: its padding weights are `zero`.
        squeeze: recode to int8 per output channel, as v65 and v66 do.

    Source: `repack_filter_for_d32` and `do_perlane_weight_scaling` of src/supernode_procweights.c,
    `find_k_kinv` of supernode_utils.h.
    """
    kh, kw, inputs, outputs = weights.shape
    codes = weights.reshape(-1, outputs)
    if not squeeze:
        padding = kh * kw * (depth - inputs) * zero
        sums = codes.sum(axis=0, dtype=np.int64) + padding
        factor = None if scales is None else scales
        inverse = None if scales is None else (F32(1) / scales).astype(np.float32)
        return PackedWeights(codes, zero, sums, factor, inverse, F32(1))
    steps = squeeze_steps(codes, zero)
    signed = squeezed(codes, zero, steps)
    kept = np.where(steps == 0, F32(1), (steps / 256).astype(np.float32)).astype(np.float32)
    factor, inverse = _factors(kept, scales)
    return PackedWeights(
        codes=(signed + 128).astype(np.uint8),
        zero=128,
        sums=signed.sum(axis=0, dtype=np.int64),
        factor=factor,
        inverse=inverse,
        largest=F32(1) if factor is None else max(F32(1), factor.max()),
    )


def squeeze_steps(codes: Array, zero: int) -> Int:
    """K of each channel: the weights are multiplied by K/256; 0 where they are only clipped."""
    low = zero - codes.min(axis=0).astype(np.int64)
    high = codes.max(axis=0).astype(np.int64) - zero
    below = (128 * 256 + 127) // np.maximum(low, 1)
    above = (127 * 256 + 127) // np.maximum(high, 1)
    return np.where(low > 129, below, np.where(high > 128, above, 0)).astype(np.int64)


def squeezed(codes: Array, zero: int, steps: Int) -> Int:
    """The int8 weights that replace `codes`, as int64."""
    wide = codes.astype(np.int64)
    scaled = ((steps * wide + 128 * 256 + 128 - steps * zero) >> 8) - 128
    return np.where(steps == 0, np.clip(wide - zero, -128, 127), scaled)


def _factors(kept: Float32, scales: Float32 | None) -> tuple[Float32 | None, Float32 | None]:
    """`k_factor` and `k_factor_recip`: channel scale over the squeezing factor, and its inverse."""
    if scales is None and bool((kept == 1).all()):
        return None, None
    channel = np.ones_like(kept) if scales is None else scales
    return (channel / kept).astype(np.float32), (kept / channel).astype(np.float32)
