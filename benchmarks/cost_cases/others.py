"""Products, pools, and what remains."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from hexconv.nnlib.graph import Padding

from .bench import RNG, SHAPES, SMALL, Bench, Case


def products() -> Iterator[Case]:
    """SuperFC, MatMul with a constant, batched MatMul."""
    sizes = [
        (m, k, n)
        for m in (1, 7, 48, 144)
        for k, n in (
            (256, 256),
            (256, 1024),
            (1024, 256),
            (64, 64),
            (320, 256),
            (256, 287),
            (144, 576),
        )
    ]
    for m, k, n in [*sizes, (20, 40, 64), (144, 100, 64), (9, 72, 33)]:
        yield "linear", lambda b, s=(m, k, n): _linear(b, *s)
    for h, m, k, n in product((1, 4, 8), (12, 48, 144), (32, 36, 64, 144), (32, 48, 64, 144, 160)):
        if h == 8 and (m, k) not in ((48, 64), (144, 64)):
            continue

        def batched(b: Bench, h=h, m=m, k=k, n=n) -> None:
            x, y = b.feed((1, h, m, k)), b.feed((1, h, k, n))
            inputs = [x[0], y[0], x[1], x[2], y[1], y[2]]
            b.add("QuantizedBatchMatMul_8x8to32", inputs, ((1, h, m, n), "int32"))

        yield "batched", batched


def _linear(b: Bench, m: int, k: int, n: int) -> None:
    x, w = b.feed((1, 1, m, k)), b.weights((1, 1, k, n))
    inputs = [x[0], w[0], x[1], x[2], w[1], w[2]]
    b.add("QuantizedMatMul_8x8to32", inputs, ((1, 1, m, n), "int32"))
    if k % 16 == 0:
        bias = b.const(RNG.integers(-999, 999, (1, 1, 1, n)), "int32")
        rest = [bias, *b.value_range(-131072, 131071), *b.value_range(-8, 8 * 127 / 128)]
        b.add("SuperFC_8x8p32to8", [*inputs, *rest], ((1, 1, m, n), "uint8"))


def pools() -> Iterator[Case]:
    """MaxPool and AvgPool."""
    windows = [(2, 2, 2, 2), (3, 3, 2, 2), (3, 3, 1, 1), (1, 2, 1, 2), (7, 7, 1, 1), (1, 3, 1, 1)]
    for shape, (kh, kw, sh, sw), op in product(SMALL, windows, ("Max", "Avg")):
        if kh > shape[1] or kw > shape[2]:
            continue

        def pool(b: Bench, shape=shape, win=(kh, kw, sh, sw), op=op) -> None:
            n, h, w, d = shape
            kh, kw, sh, sw = win
            after = (n, (h - kh) // sh + 1, (w - kw) // sw + 1, d)
            x = b.feed(shape)
            inputs = [*x, b.shape_const(kh, kw), b.shape_const(sh, sw)]
            b.add(f"Quantized{op}Pool_8", inputs, (after, "uint8"), padding=Padding.VALID)

        yield "pool", pool


def others() -> Iterator[Case]:
    """The model's float interface, 16-bit conversions, rows of a table."""
    for shape in SHAPES:

        def sixteen(b: Bench, shape=shape) -> None:
            x = b.feed(shape)
            b.add("Convert_8_16", list(x), (shape, "int16"))
            y = b.feed(shape, "int16")
            b.add("Convert_16_8", [*y, *b.value_range()], (shape, "uint8"))

        yield "sixteen", sixteen
        yield (
            "output",
            lambda b, shape=shape: b.add(
                "DequantizeOUTPUT_8tof", list(b.feed(shape)), ranged=False
            ),
        )
    for rows, width, count in (
        (100, 64, 8),
        (1000, 256, 48),
        (256, 512, 144),
        (64, 32, 20),
        (40, 96, 33),
        (30, 144, 100),
    ):

        def gather(b: Bench, rows=rows, width=width, count=count) -> None:
            table = b.const(RNG.integers(0, 256, (1, 1, rows, width)), "uint8")
            index, *_ = b.feed((1, 1, 1, count), "int32")
            b.feeds[-1] %= rows
            inputs = [index, table, *b.value_range(), b.const(2, "int32"), b.const(1, "int32")]
            b.add("Gather_8", inputs, ((1, 1, count, width), "uint8"))

        yield "rows", gather
