"""Elementwise ops of one and of two operands, and reductions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from .bench import RNG, SHAPES, Bench, Case


def unary() -> Iterator[Case]:
    """Elementwise ops, flat and after a node in d32."""
    plain = ["Relu_8", "Tanh_8", "Sigmoid_8", "Neg_8", "Sqrt_8", "Recip_8", "HardSwish_8"]
    for shape, name, deep in product(SHAPES, plain, (False, True)):
        if name in ("Relu_8", "Sqrt_8", "Recip_8", "HardSwish_8") and deep:
            continue

        def build(b: Bench, shape=shape, name=name, deep=deep) -> None:
            x = b.d32(shape) if deep else b.feed(shape)
            if name in ("Sqrt_8", "Recip_8"):
                x = (x[0], *b.value_range(0, 2))
            extra = b.value_range(-1, 127 / 128) if name == "HardSwish_8" else ()
            b.add(f"Quantized{name}", [*x, *extra], (shape, "uint8"))

        yield name, build
    for shape, deep in product(SHAPES, (False, True)):

        def softmax(b: Bench, shape=shape, deep=deep) -> None:
            x = b.d32(shape) if deep else b.feed(shape)
            b.add("QuantizedSoftmax_8", [*x, b.const(1.0)], (shape, "uint8"))

        def requantize(b: Bench, shape=shape, deep=deep) -> None:
            x = b.d32(shape) if deep else b.feed(shape)
            b.add("Requantize_8to8", [*x, *b.value_range(-2, 254 / 128)], (shape, "uint8"))

        yield "softmax", softmax
        yield "requantize", requantize
    for shape in SHAPES:
        yield "rest", lambda b, shape=shape: _flat_unary(b, shape)


def _flat_unary(b: Bench, shape: tuple[int, ...]) -> None:
    x = b.feed(shape)
    b.add("QuantizedReluX_8", [*x, b.const(0.5)], (shape, "uint8"))
    b.add("QuantizedClamp_8", [*x, b.const(-0.25), b.const(0.5)], (shape, "uint8"))
    wide, *_ = b.add("CastUInt8ToInt32", [x[0]], (shape, "int32"), ranged=False)
    table = b.const(RNG.integers(0, 256, (1, 1, 1, 256)), "uint8")
    b.add("Table_8", [wide, table, *b.value_range()], (shape, "uint8"))
    b.add("Gather_8", [wide, table, *b.value_range()], (shape, "uint8"))
    b.add("Dequantize", list(x), (shape, "float32"), ranged=False)
    real, *_ = b.feed(shape, "float32")
    b.add("Quantize", [real, *b.value_range()], (shape, "uint8"))
    whole = b.feed(shape, "int32")
    b.add("Requantize_32to8", [*whole, *b.value_range(-1e-6, 1e-6)], (shape, "uint8"))
    b.add("L2Normalize_8", [*x, b.const([3], "int32")], (shape, "uint8"))
    b.add("QuantizedInstanceNorm_8", list(x), (shape, "uint8"))
    gain, bias = b.weights((1, 1, 1, shape[3])), b.const(np.ones((1, 1, 1, shape[3])), "int32")
    b.add(
        "QuantizedBatchNorm_8x8p32to8",
        [
            x[0],
            gain[0],
            x[1],
            x[2],
            gain[1],
            gain[2],
            bias,
            *b.value_range(-131072, 131071),
            *b.value_range(-2, 254 / 128),
        ],
        (shape, "uint8"),
    )


def binary() -> Iterator[Case]:
    """Two operands, equal or broadcast, each flat or in d32."""
    ops = ["Add_8p8to8", "Sub_8p8to8", "Mul_8x8to8", "Maximum_8", "Minimum_8"]
    for shape, op, kind in product(SHAPES, ops, ("same", "depth", "row", "scalar", "d32", "const")):
        spread = {"depth": (1, 1, 1, shape[3]), "row": (*shape[:3], 1), "scalar": (1, 1, 1, 1)}
        second = spread.get(kind, shape)
        if op in ("Maximum_8", "Minimum_8") and kind not in ("same", "depth"):
            continue

        def build(b: Bench, shape=shape, op=op, kind=kind, second=second) -> None:
            x = b.d32(shape) if kind == "d32" else b.feed(shape)
            fixed = kind in ("depth", "scalar", "const")
            y = b.weights(second) if fixed else b.feed(second)
            b.add(
                f"Quantized{op}",
                [x[0], y[0], x[1], x[2], y[1], y[2], *b.value_range(-2, 254 / 128)],
                (shape, "uint8"),
            )

        yield op, build
    for shape, per_depth in product(SHAPES[:10], (False, True)):

        def divide(b: Bench, shape=shape, per_depth=per_depth) -> None:
            x = b.feed(shape)
            y = b.const(RNG.integers(100, 256, (1, 1, 1, shape[3] if per_depth else 1)), "uint8")
            low, high = b.value_range(0, 2)
            inputs = [x[0], y, x[1], x[2], low, high, *b.value_range(-2, 2)]
            b.add("QuantizedDiv_8", inputs, (shape, "uint8"))

        yield "div", divide


POOLED: list[tuple[tuple[int, ...], list[int]]] = [
    *(((1, h, w, d), [1, 2]) for h, w, d in product((4, 7, 14), (7, 10), (128, 320, 512))),
    *(((1, 7, 7, d), [1, 2]) for d in (40, 1000, 1280)),
    *(((b, 1, w, 1), [2]) for b, w in product((20, 64, 512), (9, 49, 196))),
    *(((b, 1, w, d), [2]) for b, w, d in ((12, 20, 40), (30, 50, 8), (8, 49, 128))),
]
"""Global pools and centerings: tensors, and the axes of their sums."""


def reductions() -> Iterator[Case]:
    """Mean and Sum over one or two axes, ArgMax."""
    for shape, axes in product(SHAPES, ([3], [1, 2], [2], [1])):

        def mean(b: Bench, shape=shape, axes=axes) -> None:
            left = tuple(1 if i in axes else size for i, size in enumerate(shape))
            x, over = b.feed(shape), b.const(axes, "int32")
            b.add("QuantizedMean_8", [*x, over, *b.value_range()], (left, "uint8"))
            b.add("QuantizedSum_8to32", [*x, over], (left, "int32"))

        yield "mean", mean
    for shape, axes in POOLED:

        def pool(b: Bench, shape=shape, axes=axes) -> None:
            left = tuple(1 if i in axes else size for i, size in enumerate(shape))
            x, over = b.feed(shape), b.const(axes, "int32")
            b.add("QuantizedMean_8", [*x, over, *b.value_range()], (left, "uint8"))
            b.add("QuantizedSum_8to32", [*x, over], (left, "int32"))

        yield "pool", pool
    for shape in SHAPES:
        yield (
            "argmax",
            lambda b, shape=shape: b.add(
                "ArgMax_8toInt32",
                [(x := b.feed(shape))[0], b.const([3], "int32"), *x[1:]],
                ((*shape[:3], 1), "int32"),
                ranged=False,
            ),
        )
