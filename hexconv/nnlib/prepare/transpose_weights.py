"""The weights of a transposed convolution, rearranged for a plain one with stride 1.

transpose_conv_procweights.c process_transpose_conv_filter: pad the kernel to a multiple of the
stride, gather the taps of each stride phase into a sub-kernel, rotate each by 180 degrees.
"""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array


def round_up(value: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `value`."""
    return -(-value // step) * step


def phases(weights: Array, stride: tuple[int, int], zero: int, filters: int, depth: int) -> Array:
    """Sub-kernels by stride phase.

    Args:
        weights: (Cout, kh, kw, Cin) uint8.
        stride: (h, w).
        zero: the zero point, with which all padding is filled.
        filters: Cout after padding.
        depth: Cin after padding.

    Returns:
        (sh * sw, filters, kh', kw', depth), taps rotated by 180 degrees.
    """
    sh, sw = stride
    kh, kw = round_up(weights.shape[1], sh), round_up(weights.shape[2], sw)
    padded = np.full((filters, kh, kw, depth), zero, weights.dtype)
    padded[: weights.shape[0], : weights.shape[1], : weights.shape[2], : weights.shape[3]] = weights
    split = padded.reshape(filters, kh // sh, sh, kw // sw, sw, depth)
    gathered = split.transpose(2, 4, 0, 1, 3, 5).reshape(
        sh * sw, filters, kh // sh, kw // sw, depth
    )
    turned: Array = gathered[:, :, ::-1, ::-1, :]
    return turned


def plain(sub: Array) -> Array:
    """One filter (kh', kw', Cin, phases * Cout) for an ordinary convolution."""
    count, filters, kh, kw, depth = sub.shape
    turned = sub.transpose(2, 3, 4, 0, 1).reshape(kh, kw, depth, count * filters)
    return np.ascontiguousarray(turned)


def depthwise(sub: Array, multiplier: int, zero: int) -> list[Array]:
    """One depthwise filter (kh'', kw'', C, 1) per phase.

    With a `multiplier` of 2 the two input channels of an output are side by side in the width.
    Kernels are padded before to the sizes that the depthwise kernel has: height 2, width 3, 5, 7.
    """
    count, filters, kh, kw, depth = sub.shape
    channels = depth // multiplier
    spread = sub.reshape(count, filters, kh, kw, channels, multiplier)
    spread = spread.transpose(0, 2, 3, 5, 4, 1).reshape(
        count, kh, kw * multiplier, channels, filters
    )
    more_h, more_w = depthwise_padding(kh, kw * multiplier)
    pads = ((0, 0), (more_h, 0), (more_w, 0), (0, 0), (0, 0))
    grown = np.pad(spread, pads, constant_values=zero)
    return [np.ascontiguousarray(kernel) for kernel in grown]


def depthwise_padding(kh: int, kw: int) -> tuple[int, int]:
    """Rows and columns to add so that a kernel has a supported size."""
    width = next((size for size in (3, 5, 7) if kw <= size), kw)
    return max(2 - kh, 0), width - kw
