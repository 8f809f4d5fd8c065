"""Ops that move elements, join tensors and split them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from .bench import SHAPES, Bench, Case

PERMS = [
    [0, 2, 1, 3],
    [0, 1, 3, 2],
    [0, 3, 1, 2],
    [0, 2, 3, 1],
    [0, 3, 2, 1],
    [2, 1, 0, 3],
]
HEADS = [
    (1, 144, 4, 64),
    (1, 48, 4, 36),
    (1, 4, 48, 36),
    (1, 4, 144, 64),
    (1, 12, 2, 32),
    (1, 40, 144, 1),
    (1, 80, 100, 1),
    (1, 144, 10, 32),
    (1, 256, 8, 64),
]


def moves() -> Iterator[Case]:
    """Ops that only move data."""
    for shape, perm in product([*SHAPES, *HEADS], PERMS):

        def turn(b: Bench, shape=shape, perm=perm) -> None:
            x = b.feed(shape)
            after = tuple(shape[axis] for axis in perm)
            b.add("Transpose_8", [x[0], b.const(perm, "int32"), *x[1:]], (after, "uint8"))

        yield "transpose", turn
    for shape in SHAPES:
        yield "moves", lambda b, shape=shape: _moves(b, shape)
    for shape in SHAPES:
        if shape[2] >= 4:
            yield "blocks", lambda b, shape=shape: _blocks(b, shape)
    for shape, scale in product(SHAPES[8:12], (2, 3, 4)):

        def resize(b: Bench, shape=shape, scale=scale) -> None:
            after = (shape[0], shape[1] * scale, shape[2] * scale, shape[3])
            x, size = b.feed(shape), b.const(after[1:3], "int32")
            b.add("ResizeNearestNeighbor_8", [x[0], size, *x[1:]], (after, "uint8"))
            b.add("QuantizedResizeBilinear_8", [x[0], size, *x[1:]], (after, "uint8"))

        yield "resize", resize


def _moves(b: Bench, shape: tuple[int, ...]) -> None:
    x = b.feed(shape)
    n, h, w, d = shape
    flat = (1, 1, 1, n * h * w * d)
    b.add("QuantizedReshape", [x[0], b.const(flat, "int32"), *x[1:]], (flat, "uint8"))
    for cut in ((n, h, max(1, w // 2), d), (n, h, w, max(1, d // 2)), (n, h, max(1, w - 1), d)):
        begin = b.const([0, 0, 0, 0], "int32")
        b.add("QuantizedSlice_8", [x[0], begin, b.const(cut, "int32"), *x[1:]], (cut, "uint8"))
        step = [b.const(v, "int32") for v in ([0] * 4, cut, [1] * 4, 0, 0, 0)]
        b.add("QuantizedStridedSlice_8", [x[0], *step, *x[1:]], (cut, "uint8"))
    for pads in ((0, 0, 0, 0, 3, 3, 0, 0), (0, 0, 1, 1, 1, 1, 0, 0), (0, 0, 0, 0, 0, 0, 0, 16)):
        after = tuple(size + sum(pads[2 * i : 2 * i + 2]) for i, size in enumerate(shape))
        amounts = b.const(np.reshape(pads, (1, 1, 4, 2)), "int32")
        b.add("QuantizedPad_8", [*x, amounts], (after, "uint8"))
    b.add(
        "QuantizedTile_8",
        [x[0], b.const([1, 1, 2, 1], "int32"), *x[1:]],
        ((n, h, 2 * w, d), "uint8"),
    )
    y = b.d32(shape)
    amounts = b.const(np.reshape((0, 0, 0, 0, 3, 3, 0, 0), (1, 1, 4, 2)), "int32")
    b.add("QuantizedPad_8", [*y, amounts], ((n, h, w + 6, d), "uint8"))


def _blocks(b: Bench, shape: tuple[int, ...]) -> None:
    n, h, w, d = shape
    for block in ((1, 2), (1, 4)):
        x = b.feed(shape)
        if w % block[1] == 0:
            after = (n, h, w // block[1], d * block[1])
            b.add("SpaceToDepth_8", [x[0], b.const(block, "int32"), *x[1:]], (after, "uint8"))
        if d % block[1] == 0:
            after = (n, h, w * block[1], d // block[1])
            b.add("DepthToSpace_8", [x[0], b.const(block, "int32"), *x[1:]], (after, "uint8"))
    for rate, deep in ((2, False), (3, False), (5, False), (2, True), (3, True)):
        x = b.d32(shape) if deep else b.feed(shape)
        pad = -w % rate
        inner = (n * rate, h, (w + pad) // rate, d)
        block = b.const([1, rate], "int32")
        pads = b.const(np.reshape((0, 0, 0, pad), (1, 1, 2, 2)), "int32")
        y = b.add("SpaceToBatchND_8", [x[0], block, pads, *x[1:]], (inner, "uint8"))
        b.add("BatchToSpaceND_8", [y[0], block, pads, *y[1:]], (shape, "uint8"))


def joins() -> Iterator[Case]:
    """Concat and Split."""
    for shape, axis, alike, deep in product(SHAPES, (1, 2, 3), (False, True), (False, True)):

        def concat(b: Bench, shape=shape, axis=axis, alike=alike, deep=deep) -> None:
            x = b.d32(shape) if deep else b.feed(shape)
            y = b.feed(shape)
            after = tuple(2 * size if i == axis else size for i, size in enumerate(shape))
            second = b.value_range() if alike else b.value_range(-2, 254 / 128)
            inputs = [b.const(axis, "int32"), x[0], y[0], x[1], second[0], x[2], second[1]]
            b.add("QuantizedConcat_8", inputs, (after, "uint8"))

        yield "concat", concat
    for shape, axis, parts in product(SHAPES, (2, 3), (2, 4)):
        if shape[axis] % parts:
            continue

        def split(b: Bench, shape=shape, axis=axis, parts=parts) -> None:
            part = tuple(size // parts if i == axis else size for i, size in enumerate(shape))
            x = b.feed(shape)
            b.add("QuantizedSplit_8", [b.const(axis, "int32"), *x], *[(part, "uint8")] * parts)

        yield "split", split
