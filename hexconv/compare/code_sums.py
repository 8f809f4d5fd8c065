"""Everything that is measured of a tensor of uint8, in one pass: compiled, or by NumPy.

In steps of the tensor's scale, in float32: that is twice as fast as float64, and rounds figures by
less than 1e-4 dB. Each block's sums are float32 lanes, which are added up in float64. Where float32
cannot hold them there is no result, and figures are formed in float64 (`sums`, `quantized`).
"""

from __future__ import annotations

from functools import reduce
from math import isfinite
from operator import add
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hexconv import native
from hexconv.compare.quantized import CODES, SLACK, FitSums, Scale
from hexconv.compare.sums import ATOL, RTOL, PairSums
from hexconv.native.abi import SUM_LANES, Coded, Site, address, address_or_null

BLOCK = 1024
"""Elements of which the squares are added in float32."""
LEAST_TILE = 32
"""Positions of which all channels are read at a time: two cache lines of each."""
LEAST_STEP = 1e-30
"""Of a scale, so that its inverse is a float32."""
FARTHEST_ZERO = 2.0**16
"""Zero point from which on a float32 no longer holds a hundredth of a step."""
LEAST_SIGNAL = 1e-20
"""Sum of squares, in steps, below which some of them are too small for a float32."""

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


class Codes(NamedTuple):
    """Quantized values.

    Args:
        codes: uint8.
        scale: theirs.
    """

    codes: UInt8
    scale: Scale


class CodeSums(NamedTuple):
    """Float values against the codes that two runs return for them.

    Args:
        running: against those of the running model, if they are given.
        own: against those of the node alone.
        fit: of the node's range.
        nearest: the values' nearest codes in that range.
    """

    running: PairSums | None
    own: PairSums
    fit: FitSums
    nearest: UInt8


def code_sums(expected: Float32, running: Codes | None, own: Codes) -> CodeSums | None:
    """Sums over arrays of one shape, not empty; None where float32 cannot hold them."""
    sides = [_contiguous(item) for item in (own, running) if item is not None]
    if not all(_representable(side.scale) for side in sides):
        return None
    nearest, passes = np.empty(expected.shape, np.uint8), native.library()
    values, positions, channels = _in_memory(expected)
    tile = LEAST_TILE + BLOCK // channels
    scratch = None if channels == 1 else np.empty(BLOCK + tile * channels, np.float32)
    source = (address(values), address_or_null(scratch), positions, channels, tile)
    site = Site(*source, address(nearest), 0.5 + SLACK, *map(_coded, sides))
    if passes is not None:
        passes.compare_site(site, expected.size)
    else:
        _by_numpy(site, expected.reshape(-1), sides, nearest.reshape(-1))
    found = [_pair_sums(site.own, sides[0].scale.step)]
    if running is not None:
        found.append(_pair_sums(site.running, running.scale.step))
    if found[0] is None or found[-1] is None:
        return None
    theirs = None if running is None else found[1]
    return CodeSums(theirs, found[0], _fit_sums(site, found[0].signal, own.scale.step), nearest)


def _in_memory(x: Float32) -> tuple[Float32, int, int]:
    """Contiguous values: images of channels of positions; numbers of positions and channels.

    Those of a view that moves the channels last; other arrays have one channel.
    """
    if x.ndim == 4 and not x.flags.c_contiguous:
        planes = x.transpose(0, 3, 1, 2)
        if planes.flags.c_contiguous:
            return planes, x.shape[1] * x.shape[2], x.shape[3]
    return np.ascontiguousarray(x), x.size, 1


def _contiguous(item: Codes) -> Codes:
    return Codes(np.ascontiguousarray(item.codes), item.scale)


def _representable(scale: Scale) -> bool:
    return abs(scale.zero) <= FARTHEST_ZERO and LEAST_STEP <= scale.step <= 1 / LEAST_STEP


def _coded(item: Codes) -> Coded:
    step = item.scale.step
    return Coded(address(item.codes), 1.0 / step, item.scale.zero, RTOL, ATOL / step)


def _pair_sums(coded: Coded, step: float) -> PairSums | None:
    """In units of the tensor; None where a float32 did not hold the terms."""
    found = coded.result
    signal, output, product, noise, absolute = found.sums
    if not (signal > LEAST_SIGNAL and isfinite(signal)):
        return None
    square = step * step
    return PairSums(
        *(signal * square, output * square, product * square, noise * square, absolute * step),
        *(found.largest * step, found.peak * step, found.close),
    )


def _fit_sums(site: Site, signal: float, step: float) -> FitSums:
    fit, square = site.fit, step * step
    counts = np.frombuffer(fit.counts, np.int64).copy()
    return FitSums(signal, fit.noise * square, fit.clip_noise * square, fit.clipped, counts)


def _by_numpy(site: Site, x: Float32, sides: list[Codes], nearest: UInt8) -> None:
    """What csrc/compare_codes.c does, with the same bits; all arrays are 1-D."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for coded, side in zip((site.own, site.running), sides, strict=False):
            _compare(coded, x, side.codes.reshape(-1))
        _fit(site, x, nearest)


def _compare(coded: Coded, x: Float32, codes: UInt8) -> None:
    u = x * np.float32(coded.inverse)
    v = codes.astype(np.float32) - np.float32(coded.zero)
    apart, size = np.abs(u - v), np.abs(u)
    found = coded.result
    terms = (u * u, v * v, u * v, apart * apart, apart)
    found.sums[:] = [_in_blocks(term) for term in terms]
    found.largest, found.peak = float(apart.max()), float(size.max())
    bound = np.float32(coded.atol) + np.float32(coded.rtol) * size
    found.close = int(np.count_nonzero(apart <= bound))


def _fit(site: Site, x: Float32, nearest: UInt8) -> None:
    zero, fit = np.float32(site.own.zero), site.fit
    u = x * np.float32(site.own.inverse)
    place = np.rint(np.clip(np.nan_to_num(u + zero, nan=0.0), 0, CODES - 1))
    nearest[:] = place
    apart = u - (place - zero)
    beyond = np.abs(apart) > np.float32(site.slack)
    fit.noise = _in_blocks(apart * apart)
    fit.clip_noise = _in_blocks(np.where(beyond, apart * apart, np.float32(0)))
    fit.clipped = int(np.count_nonzero(beyond))
    fit.counts[:] = np.bincount(nearest, minlength=CODES).tolist()


def _in_blocks(terms: Float32) -> float:
    """Element i of a block is added to lane i % 16, lanes pairwise, blocks in their order."""
    padded = np.zeros(-(-terms.size // BLOCK) * BLOCK, np.float32)
    padded[: terms.size] = terms
    blocks = padded.reshape(-1, BLOCK // SUM_LANES, SUM_LANES)
    lanes = np.add.reduce(blocks, axis=1).astype(np.float64)
    while lanes.shape[1] > 1:
        half = lanes.shape[1] // 2
        lanes = lanes[:, :half] + lanes[:, half:]
    return reduce(add, lanes[:, 0].tolist(), 0.0)
