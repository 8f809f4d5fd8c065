"""Patches of a convolution: rows for a matrix product, without needless copies, and tiles."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hexconv.simulator.numerics.window import WindowAxis

UInt8 = npt.NDArray[np.uint8]


class Tile(NamedTuple):
    """A block of output pixels: ranges of images, rows and columns."""

    images: slice
    rows: slice
    columns: slice


def patches(x: UInt8, rows: WindowAxis, columns: WindowAxis) -> npt.NDArray[Any]:
    """A view (B, Ho, Wo, kh, kw*D) of every window of the padded, contiguous `x`.

    The columns of a window are contiguous in memory, so that a copy moves long runs.
    """
    b, _, _, d = x.shape
    sb, sh, sw, _ = x.strides
    shape = (b, rows.out, columns.out, rows.window, columns.window * d)
    strides = (sb, sh * rows.stride, sw * columns.stride, sh, x.itemsize)
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def blocks(images: int, height: int, width: int, pixels: int) -> list[Tile]:
    """Cut an output into tiles of about `pixels` pixels: whole images, then lines, then runs."""
    if height * width <= pixels:
        step = max(1, pixels // (height * width))
        every, across = slice(0, height), slice(0, width)
        return [Tile(part, every, across) for part in _cuts(images, step)]
    if width <= pixels:
        lines, runs = _cuts(height, max(1, pixels // width)), [slice(0, width)]
    else:
        lines, runs = _cuts(height, 1), _cuts(width, pixels)
    return [Tile(image, line, run) for image in _cuts(images, 1) for line in lines for run in runs]


def _cuts(size: int, step: int) -> list[slice]:
    """0 .. size in equal parts of at most `step`."""
    count = -(-size // step)
    edges = [size * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]
