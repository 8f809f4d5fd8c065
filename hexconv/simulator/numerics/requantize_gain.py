"""From int32 accumulators to quantized outputs: the fixed-point gain of convolutions.

The library computes `sat8(((sum << shift) * recip + 2**30) >> 31)`. Here the same number is
`floor(sum * gain + 1/2)` with the exact `gain = recip * 2**(shift - 31)` in float64: a sum has at
most 31 bits and recip 31, so the fraction is a multiple of 2**-31 and an error far below that
cannot move a result across an integer, except exactly on it; hence the `TIE` added to the half.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hexconv.simulator.numerics.fixed_point import F32, as_range, exponent, power2, round_uint
from hexconv.simulator.numerics.output_range import OutputRange, QParams

Int = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

TIE = 2.0**-34


@dataclass(frozen=True)
class Gain:
    """The requantization of accumulators, for one execution.

    Args:
        product: scale of the accumulator (input scale times weight scale), float32.
        recip: 31-bit multipliers, one per channel or one for all.
        shift: left shift of the accumulators before the multiplication.
    """

    product: np.float32
    recip: Int
    shift: int

    @property
    def factor(self) -> Float64:
        """The exact gain, float64."""
        factor: Float64 = self.recip.astype(np.float64) * 2.0 ** (self.shift - 31)
        return factor


def choose_gain(
    source: QParams,
    weight_size: np.float32,
    out: OutputRange,
    channel_factor: Float32 | None,
    largest_factor: np.float32,
) -> Gain:
    """The multipliers of a convolution (`fill_info_minmax_basics` of supernode_utils.h).

    Args:
        source: scale and zero point of the input.
        weight_size: scale of the weights.
        out: the output range; a first guess of it may be widened here.
        channel_factor: multiplier of each channel's weights, if any.
        largest_factor: the largest of them, at least 1.
    """
    product = F32(source.size * weight_size)
    accumulator = F32(largest_factor * product)
    gain = out.limit_gain(F32(accumulator / out.level()), accumulator)
    shift = 0 if gain <= 1 else exponent(gain)
    if channel_factor is None:
        recip = np.array([min(round_uint(F32(gain * power2(31 - shift))), 0x7FFFFFFF)])
    else:
        common = F32(F32(product / out.level()) * power2(31 - shift))
        scaled = (common * channel_factor).astype(np.float32)
        recip = np.minimum(np.floor(scaled + F32(0.5)).astype(np.int64), 0x7FFFFFFF)
    return Gain(product, recip.astype(np.int64), shift)


def codes(accumulators: Int, gain: Gain) -> Int:
    """Outputs before clipping to 0..255, exactly as the library's integers give them."""
    wrapped = ((accumulators << gain.shift) + 2**31) % 2**32 - 2**31
    shifted: Int = (wrapped * gain.recip + 2**30) >> 31
    return shifted


def affine(offsets: Int, gain: Gain, terms: int) -> tuple[Float64, Float64] | None:
    """(m, c) with `clip(floor(x * m + c), 0, 255)` the output of accumulator x + offset.

    None where a bias is so far outside the output range that float64 is not exact enough, or where
    the shifted accumulator can exceed 32 bits: `codes` has to be used.

    Args:
        offsets: one per channel, added to every accumulator.
        gain: the gain.
        terms: how many products of two values an accumulator sums up.
    """
    most = terms * 255 * 255 + int(np.abs(offsets).max(initial=0))
    if most << gain.shift >= 2**31:
        return None
    factor = np.broadcast_to(gain.factor, offsets.shape)
    constant = offsets * factor + (0.5 + TIE)
    if np.abs(constant).max(initial=0) >= 2.0**16:
        return None
    return np.ascontiguousarray(factor), constant


@dataclass(frozen=True)
class Requantizer:
    """Everything that requantizes the integer products of one node.

    Args:
        zero: the input's zero point.
        offsets: one per channel, added to the sums.
        gain: the gain.
        line: `affine` of these two.
        minimum: output 1.
        maximum: output 2.
    """

    zero: int
    offsets: Int
    gain: Gain
    line: tuple[Float64, Float64] | None
    minimum: Float32
    maximum: Float32

    @cached_property
    def multipliers(self) -> npt.NDArray[np.int32]:
        """(out,) the gain's factors, one per channel."""
        return np.broadcast_to(self.gain.recip, self.offsets.shape).astype(np.int32)

    @classmethod
    def of(cls, zero: int, gain: Gain, offsets: Int, out: OutputRange, terms: int) -> Requantizer:
        """With the current range; `terms` as for `affine`."""
        line = affine(offsets, gain, terms)
        return cls(zero, offsets, gain, line, *as_range(out.minimum, out.maximum))

    def codes(self, sums: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
        """The output of plain sums whose last axis is the channels."""
        wide = codes(sums.astype(np.int64) + self.offsets, self.gain)
        return np.clip(wide, 0, 255).astype(np.uint8)
