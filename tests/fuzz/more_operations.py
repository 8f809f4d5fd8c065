"""Ops that graphs of two steps have besides those of `layers` and `operations`.

Each returns whether it found a tensor that it fits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np

from tests.fuzz.maker import LARGEST, Maker, Shape

OF_POSITIVES = ("Sqrt", "Log", "Reciprocal")
OF_ANY = ("Sin", "Cos", "Atan", "Softsign", "HardSigmoid", "Selu", "Mish", "Floor", "Round", "Sign")


def of_positives(m: Maker, op: str) -> bool:
    """A function of what is far enough from zero."""
    x = m.tensor()
    shape = m.shapes[x]
    size = m.add("Abs", [x], shape)
    m.add(op, [m.add("Add", [size, np.float32(m.pick(0.3, 1))], shape)], shape)
    return True


def of_any(m: Maker, op: str) -> bool:
    """A function of any number."""
    x = m.tensor()
    m.add(op, [x], m.shapes[x])
    return True


def softmax(m: Maker) -> bool:
    """Along any axis; its logarithm."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    if shape[axis] < 2:
        return False
    small = m.add("Clip", [x, np.float32(-6), np.float32(6)], shape)
    m.add("Softmax" if m.chance(0.7) else "LogSoftmax", [small], shape, axis=axis)
    return True


def other_reductions(m: Maker) -> bool:
    """Norms, sums of squares and of exponentials."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    op = str(m.rng.choice(["ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"]))
    keep = m.size(0, 1) if len(shape) > 2 else 1
    result = (*shape[:axis], *([1] if keep else []), *shape[axis + 1 :])
    m.add(op, [x, np.array([axis], np.int64)], result, keepdims=keep)
    return True


def where_largest(m: Maker) -> bool:
    """The place of the largest or smallest along an axis, as numbers."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    result = tuple(1 if place == axis else size for place, size in enumerate(shape))
    y = m.add(str(m.rng.choice(["ArgMax", "ArgMin"])), [x], result, axis=axis, keepdims=1)
    m.shapes.pop(y)
    m.add("Cast", [y], result, to=1)
    return True


def running_sum(m: Maker) -> bool:
    """Along an axis, from either end."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = np.asarray(m.size(1, len(shape) - 1), np.int64)
    m.add("CumSum", [x, axis], shape, exclusive=m.size(0, 1), reverse=m.size(0, 1))
    return True


def product(m: Maker) -> bool:
    """With itself, turned; written as Einsum or as MatMul."""
    x = m.tensor(3)
    if not x:
        return False
    batch, rows, _ = m.shapes[x]
    if batch * rows * rows > LARGEST:
        return False
    m.add("Einsum", [x, x], (batch, rows, rows), equation="bij,bkj->bik")
    return True


def other_pools(m: Maker) -> bool:
    """Root mean square pools, and local response normalization."""
    x = m.tensor(4)
    if not x:
        return False
    batch, channels, *sizes = m.shapes[x]
    if m.chance(0.3):
        m.add("LRN", [x], m.shapes[x], size=3, alpha=0.1, beta=0.75, bias=1.0)
        return True
    kernel = [min(m.size(1, 3), size) for size in sizes]
    result = [size - k + 1 for size, k in zip(sizes, kernel, strict=True)]
    m.add("LpPool", [x], (batch, channels, *result), kernel_shape=kernel, p=2)
    return True


def resized(m: Maker) -> bool:
    """Bilinear, or by any factor; and space to depth."""
    x = m.tensor(4)
    if not x or prod(m.shapes[x]) > LARGEST // 4:
        return False
    batch, channels, height, width = m.shapes[x]
    if height % 2 == 0 and width % 2 == 0 and m.chance(0.5):
        m.add("SpaceToDepth", [x], (batch, 4 * channels, height // 2, width // 2), blocksize=2)
        return True
    mode = str(m.rng.choice(["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"]))
    shape = (batch, channels, m.size(1, 2 * height), m.size(1, 2 * width))
    how = {"mode": "linear", "coordinate_transformation_mode": mode}
    m.add("Resize", [x, None, None, np.array(shape, np.int64)], shape, **how)
    return True


def turned(m: Maker) -> bool:
    """Backwards along an axis, every second, or halves in the other order."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    step = int(m.rng.choice([-1, 2, 3]))
    start, end = (-1, -(2**31)) if step < 0 else (0, 2**31)
    bounds = [np.array([number], np.int64) for number in (start, end, axis, step)]
    length = -(-shape[axis] // abs(step))
    m.add("Slice", [x, *bounds], (*shape[:axis], length, *shape[axis + 1 :]))
    return True


def spread(m: Maker) -> bool:
    """A mean over an axis, expanded to the size before."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    result = tuple(1 if place == axis else size for place, size in enumerate(shape))
    y = m.add("ReduceMax", [x, np.array([axis], np.int64)], result, keepdims=1)
    m.add("Expand", [y, np.array(shape, np.int64)], shape)
    return True


def triangle(m: Maker) -> bool:
    """The upper or lower one of the last two axes."""
    x = m.tensor()
    m.add("Trilu", [x], m.shapes[x], upper=m.size(0, 1))
    return True


def several(m: Maker) -> bool:
    """Sum, largest, smallest of three: a tensor, its half and a constant."""
    x = m.tensor()
    shape = m.shapes[x]
    half = m.add("Mul", [x, np.float32(0.5)], shape)
    op = str(m.rng.choice(["Sum", "Max", "Min", "Mean"]))
    m.add(op, [x, half, m.noise(shape[-1])], shape)
    return True


def grouped(m: Maker) -> bool:
    """Convolutions of groups, and group norms."""
    x = m.tensor(4) or m.tensor(3)
    if not x:
        return False
    shape = m.shapes[x]
    groups = next((g for g in (4, 3, 2) if shape[1] % g == 0 and shape[1] > g), 0)
    if not groups or prod(shape[2:]) < 2:
        return False
    if m.chance(0.5):
        kernel = [min(3, size) for size in shape[2:]]
        weights = m.noise(shape[1], shape[1] // groups, *kernel)
        weights /= np.float32(np.sqrt(weights[0].size))
        result = (*shape[:2], *(s - k + 1 for s, k in zip(shape[2:], kernel, strict=True)))
        m.add("Conv", [x, weights], result, group=groups, kernel_shape=kernel)
        return True
    scale, bias = 1 + m.noise(shape[1], scale=0.3), m.noise(shape[1], scale=0.3)
    parted = (shape[0], groups, -1)
    long: Shape = (shape[0], groups, prod(shape[1:]) // groups)
    y = m.add("Reshape", [x, np.array(parted, np.int64)], long)
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    y = m.add("InstanceNormalization", [y, ones, zeros], long, epsilon=1e-3)
    y = m.add("Reshape", [y, np.array(shape, np.int64)], shape)
    channel = (1, -1, *[1] * (len(shape) - 2))
    y = m.add("Mul", [y, scale.reshape(channel)], shape)
    m.add("Add", [y, bias.reshape(channel)], shape)
    return True


WAYS: tuple[Callable[[Maker], bool], ...] = (
    *(partial(of_positives, op=op) for op in OF_POSITIVES),
    *(partial(of_any, op=op) for op in OF_ANY),
    softmax,
    other_reductions,
    where_largest,
    running_sum,
    product,
    other_pools,
    resized,
    turned,
    spread,
    triangle,
    several,
    grouped,
)
