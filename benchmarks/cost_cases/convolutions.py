"""Supernodes, depthwise, transposed and dilated convolutions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from hexconv.nnlib.graph import Padding

from .bench import RNG, Bench, Case
from .convolution_sizes import (
    CONVS,
    FIRST,
    FIRST_OTHERS,
    IMAGES,
    JOINED,
    LINES,
    LOW,
    ON_V60_CODE,
    ROWS,
)


def rows() -> Iterator[Case]:
    """Convolutions over numbers of rows."""
    for (w, c, n, k), h in product(ROWS, (1, 2, 3, 5, 6, 7, 10, 13, 14)):
        spec = (h, w, c, n, k, k, 1, 1)
        yield f"rows {spec}", lambda b, spec=spec: conv(b, spec, Padding.SAME)


def images() -> Iterator[Case]:
    """Convolutions of networks for images: many rows, many channels; first convolutions."""
    for h, w, c, n, k, s in IMAGES:
        yield (
            f"{h}x{w}x{c} {n} {k}s{s}",
            lambda b, spec=(h, w, c, n, k, k, s, s): conv(b, spec, Padding.SAME),
        )
    for spec, padding in product(FIRST, (Padding.SAME, Padding.VALID)):
        yield f"first {spec}", lambda b, spec=spec, padding=padding: conv(b, spec, padding)


def lines() -> Iterator[Case]:
    """Few rows: depthwise, convolutions of one row; further first convolutions."""
    for w, c, n in JOINED:
        spec = (n, w, c, c, n, 7, n, 1)
        yield (
            f"joined {spec}",
            lambda b, spec=spec: conv(b, spec, Padding.SAME, depthwise=True),
        )
    for h, w, c, kh, kw, s in LOW:
        spec = (h, w, c, c, kh, kw, s, s)
        yield f"low {spec}", lambda b, spec=spec: conv(b, spec, Padding.SAME, depthwise=True)
    for (w, c, n, k, s), padding in product(LINES, (Padding.SAME, Padding.VALID)):
        if padding is Padding.SAME or k > 1:
            spec = (1, w, c, n, 1, k, 1, s)
            yield f"line {spec}", lambda b, spec=spec, padding=padding: conv(b, spec, padding)
    for spec, padding in product([*FIRST_OTHERS, *ON_V60_CODE], (Padding.SAME, Padding.VALID)):
        yield f"{spec}", lambda b, spec=spec, padding=padding: conv(b, spec, padding)


def convolutions() -> Iterator[Case]:
    """Supernodes, depthwise, transposed and dilated."""
    for spec, padding in product(CONVS, (Padding.SAME, Padding.VALID)):
        h, w, _, _, kh, kw, _, _ = spec
        if padding is Padding.VALID and ((kh, kw) == (1, 1) or kh > h or kw > w):
            continue
        yield "conv", lambda b, spec=spec, padding=padding: conv(b, spec, padding)
    sizes = [
        (28, 28, 32),
        (56, 56, 24),
        (14, 14, 96),
        (14, 14, 576),
        (7, 7, 320),
        (1, 144, 256),
        (1, 48, 144),
        (16, 16, 64),
        (112, 112, 16),
    ]
    kernels = [(3, 3, 1), (3, 3, 2), (5, 5, 1), (5, 5, 2), (7, 7, 1), (3, 7, 1), (3, 5, 1)]
    for (h, w, c), (kh, kw, stride) in product(sizes, kernels):
        if h == 1 and stride > 1:
            continue
        yield (
            "depthwise",
            lambda b, s=(h, w, c, c, kh, kw, stride, stride): conv(
                b, s, Padding.SAME, depthwise=True
            ),
        )
    for w, c, n, k, stride in (
        (100, 64, 32, 4, 2),
        (50, 128, 64, 16, 8),
        (25, 256, 128, 16, 8),
        (200, 32, 16, 8, 4),
        (60, 96, 48, 10, 5),
        (512, 64, 32, 4, 2),
        (1000, 32, 16, 4, 2),
        (64, 256, 128, 8, 4),
    ):
        yield "transposed", lambda b, s=(w, c, n, k, stride): _transposed(b, *s)


def conv(b: Bench, spec: tuple[int, ...], padding: Padding, *, depthwise: bool = False) -> None:
    """A convolution of height, width, channels in and out, kernel and strides as in `spec`."""
    h, w, c, n, kh, kw, sh, sw = spec
    x, weights = b.feed((1, h, w, c)), b.weights((kh, kw, c, 1 if depthwise else n))
    bias = b.const(RNG.integers(-999, 999, (1, 1, 1, n)), "int32")
    if padding is Padding.SAME:
        after = (1, -(-h // sh), -(-w // sw), n)
    else:
        after = (1, (h - kh) // sh + 1, (w - kw) // sw + 1, n)
    op = "DepthwiseSupernode_8x8p32to8" if depthwise else "Supernode_8x8p32to8"
    inputs = [x[0], weights[0], x[1], x[2], weights[1], weights[2], b.shape_const(sh, sw), bias]
    inputs += [*b.value_range(-131072, 131071), *b.value_range(-8, 8 * 127 / 128)]
    b.add(op, inputs, (after, "uint8"), padding=padding)


def _transposed(b: Bench, w: int, c: int, n: int, k: int, stride: int) -> None:
    x, weights = b.feed((1, 1, w, c)), b.weights((n, 1, k, c))
    cut = (k - stride) // 2
    pads = b.const([[[[0, 0], [cut, k - stride - cut]]]], "int32")
    bias = b.const(np.zeros((1, 1, 1, n)), "int32")
    inputs = [x[0], weights[0], x[1], x[2], weights[1], weights[2], pads, b.shape_const(1, stride)]
    inputs += [bias, *b.value_range(-131072, 131071), *b.value_range(-8, 8 * 127 / 128)]
    b.add("QuantizedTransposeConv2d_8x8p32to8", inputs, ((1, 1, w * stride, n), "uint8"))
