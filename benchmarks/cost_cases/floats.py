"""Ops that --keep-float inserts between Dequantize and Quantize."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from .bench import RNG, SMALL, Bench, Case

FLOAT_UNARY = [
    "Tanh_f",
    "Sigmoid_f",
    "Relu_f",
    "Neg_f",
    "Abs_f",
    "Floor_f",
    "Ceil_f",
    "Softmax_f",
    "LogSoftmax_f",
    "PRelu_f",
]


def floats() -> Iterator[Case]:
    """Ops that --keep-float inserts between Dequantize and Quantize."""
    yield from _unary()
    yield from _binary()
    yield from _transposed()
    yield from _reshaped()
    yield from _joined()
    yield from _products()


def _unary() -> Iterator[Case]:
    for shape, name in product(SMALL, FLOAT_UNARY):

        def build(b: Bench, shape=shape, name=name) -> None:
            extra = [b.const(0.25)] if name == "PRelu_f" else []
            b.add(name, [b.feed(shape, "float32")[0], *extra], (shape, "float32"), ranged=False)

        yield f"{name} {shape}", build


def _binary() -> Iterator[Case]:
    for shape, name, kind in product(
        SMALL,
        ["Add_f", "Sub_f", "Mul_f", "Maximum_f", "Minimum_f"],
        ["same", "depth", "row", "scalar"],
    ):

        def binary(b: Bench, shape=shape, name=name, kind=kind) -> None:
            small = {
                "same": shape,
                "depth": (1, 1, 1, shape[3]),
                "row": (*shape[:3], 1),
                "scalar": (1, 1, 1, 1),
            }[kind]
            x = b.feed(shape, "float32")[0]
            y = b.const(0.5) if kind == "scalar" else b.feed(small, "float32")[0]
            b.add(name, [x, y], (shape, "float32"), ranged=False)

        yield f"{name} {kind} {shape}", binary


def _transposed() -> Iterator[Case]:
    for shape, perm in product(SMALL, [(0, 1, 3, 2), (0, 2, 1, 3), (0, 3, 1, 2), (0, 2, 3, 1)]):

        def transposed(b: Bench, shape=shape, perm=perm) -> None:
            moved = tuple(shape[axis] for axis in perm)
            x = b.feed(shape, "float32")[0]
            b.add("Transpose_f", [x, b.const(perm, "int32")], (moved, "float32"), ranged=False)

        yield f"Transpose_f {perm} {shape}", transposed


def _reshaped() -> Iterator[Case]:
    for shape in SMALL:

        def reshaped(b: Bench, shape=shape) -> None:
            flat = (1, 1, 1, prod(shape))
            sizes = b.const(flat, "int32")
            b.add("Reshape", [b.feed(shape, "float32")[0], sizes], (flat, "float32"), ranged=False)

        yield f"Reshape {shape}", reshaped


def _joined() -> Iterator[Case]:
    for shape, axis, count in product(SMALL, range(4), (2, 3)):

        def joined(b: Bench, shape=shape, axis=axis, count=count) -> None:
            parts = [b.feed(shape, "float32")[0] for _ in range(count)]
            whole = tuple(n * count if i == axis else n for i, n in enumerate(shape))
            inputs = [b.const([axis], "int32"), *parts]
            b.add("Concat_f", inputs, (whole, "float32"), ranged=False)

        yield f"Concat_f {axis} {shape}", joined


def _products() -> Iterator[Case]:
    for rows, inner, columns in product((1, 12, 100), (16, 64, 200), (8, 64, 150)):

        def matmul(b: Bench, rows=rows, inner=inner, columns=columns) -> None:
            x = b.feed((1, 1, rows, inner), "float32")[0]
            y = b.const(RNG.uniform(-1, 1, (inner, columns)))
            b.add("MatMul_f", [x, y], ((1, 1, rows, columns), "float32"), ranged=False)

        yield f"MatMul_f {rows} {inner} {columns}", matmul
