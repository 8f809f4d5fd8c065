"""Ops in d32 on large tensors."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from hexconv.nnlib.graph import Padding

from .bench import Bench, Case
from .convolutions import conv

DEEP = [
    # shapes of one row and of many, as vocoders and networks for images have them
    (1, 1, 16000, 32),
    (1, 1, 4000, 64),
    (1, 1, 1000, 128),
    (1, 1, 250, 256),
    (1, 1, 60, 512),
    (1, 112, 112, 16),
    (1, 56, 56, 64),
    (1, 28, 28, 144),
    (1, 13, 13, 256),
    (1, 7, 7, 512),
]


def deep() -> Iterator[Case]:
    """Ops in d32 on large tensors: activation, concatenation, addition; depthwise in few rows."""
    for shape in DEEP:
        yield f"prelu {shape}", lambda b, shape=shape: _prelu(b, shape)
        yield f"concat {shape}", lambda b, shape=shape: _deep_concat(b, shape)
        yield f"add {shape}", lambda b, shape=shape: _deep_add(b, shape)
    for (h, w), c, k in product(((1, 144), (2, 48), (4, 100)), (64, 256), (3, 5, 7)):
        spec = (h, w, c, c, 3, k, 1, 1)
        yield (
            f"depthwise {spec}",
            lambda b, spec=spec: conv(b, spec, Padding.SAME, depthwise=True),
        )


def _prelu(b: Bench, shape: tuple[int, ...]) -> None:
    """In the range of its input, and in one of its own."""
    b.add("QuantizedPRelu_8", [*b.d32(shape), b.const(np.full(shape[3], 0.25))], (shape, "uint8"))
    inputs = [*b.d32(shape), *b.weights((1, 1, 1, shape[3])), *b.value_range(-1, 2)]
    b.add("QuantizedPRelu_8_V2", inputs, (shape, "uint8"))


def _deep_concat(b: Bench, shape: tuple[int, ...]) -> None:
    x, y = b.d32(shape), b.d32(shape)
    after = (*shape[:3], 2 * shape[3])
    inputs = [b.const(3, "int32"), x[0], y[0], x[1], y[1], x[2], y[2]]
    b.add("QuantizedConcat_8", inputs, (after, "uint8"))


def _deep_add(b: Bench, shape: tuple[int, ...]) -> None:
    x, y = b.d32(shape), b.d32(shape)
    inputs = [x[0], y[0], x[1], x[2], y[1], y[2], *b.value_range(-2, 254 / 128)]
    b.add("QuantizedAdd_8p8to8", inputs, (shape, "uint8"))
