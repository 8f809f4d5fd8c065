"""Arithmetic between tensors, masks, and ops that join, part and move them.

Each returns whether it found a tensor that it fits.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tests.fuzz.cases import Array
from tests.fuzz.maker import LARGEST, Maker, Shape


def residual(m: Maker) -> bool:
    """Two tensors of one shape."""
    x = m.tensor()
    op = str(m.rng.choice(["Add", "Add", "Add", "Sub", "Mul", "Max", "Min"]))
    m.add(op, [x, m.like(x)], m.shapes[x])
    return True


def constant_operand(m: Maker) -> bool:
    """A number, or one for each of an axis, from either side."""
    x = m.tensor()
    shape = m.shapes[x]
    op = str(m.rng.choice(["Add", "Sub", "Mul", "Mul", "Div", "Max", "Min"]))
    scale = m.pick(0.01, 0.25, 1, 4)
    if m.chance(0.5):
        value = np.asarray(np.float32(scale if m.chance(0.7) else -scale))
    else:
        axis = m.size(1, len(shape) - 1)
        value = m.noise(*(s if a == axis else 1 for a, s in enumerate(shape)), scale=scale)
        if m.chance(0.5):
            value = value.reshape(value.shape[axis:])
    if op == "Div":
        value = np.sign(value) * np.maximum(np.abs(value), np.float32(0.1))
    pair: list[str | Array | None] = [x, value]
    swapped = m.chance(0.3) and op != "Div"
    m.add(op, pair[::-1] if swapped else pair, shape)
    return True


def mask(m: Maker) -> bool:
    """A choice, by a comparison with a constant, between tensors or a tensor and a number."""
    x = m.tensor()
    shape = m.shapes[x]
    op = str(m.rng.choice(["Greater", "Less", "GreaterOrEqual"]))
    chosen = m.add(op, [x, np.float32(m.pick(-1, 0, 0.3, 9))], shape)
    m.shapes.pop(chosen)  # no number
    if m.chance(0.5):
        other: str | Array = np.asarray(np.float32(m.pick(0, 0, -1, -5)))
    else:
        other = m.like(x)
        if m.chance(0.4):
            other = m.add("Mul", [other, np.float32(m.pick(0.1, 10))], shape)
    pair: list[str | Array | None] = [m.like(x), other]
    m.add("Where", [chosen, *(pair if m.chance(0.5) else pair[::-1])], shape)
    return True


def reduction(m: Maker) -> bool:
    """Over one axis, or all but the batch."""
    x = m.tensor()
    shape = m.shapes[x]
    axes = [m.size(1, len(shape) - 1)] if m.chance(0.7) else list(range(1, len(shape)))
    op = str(m.rng.choice(["ReduceMean", "ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin"]))
    result = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    y = m.add(op, [x, np.array(axes, np.int64)], result, keepdims=1)
    if m.chance(0.4):
        m.add("Sub" if m.chance(0.5) else "Mul", [x, y], shape)
    return True


def join(m: Maker) -> bool:
    """Tensors side by side, some of them louder, some twice."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    parts = [x]
    for _ in range(m.size(1, 2)):
        fits = [n for n, s in m.shapes.items() if len(s) == len(shape) and _beside(s, shape, axis)]
        part = str(m.rng.choice(fits))
        if m.chance(0.3):
            part = m.add("Mul", [part, np.float32(m.pick(0.1, 4, 10))], m.shapes[part])
        parts.append(part)
    total = sum(m.shapes[part][axis] for part in parts)
    result = (*shape[:axis], total, *shape[axis + 1 :])
    if prod(result) > LARGEST:
        return False
    if m.chance(0.5):
        parts = parts[::-1]
    m.add("Concat", list(parts), result, axis=axis)
    return True


def _beside(one: Shape, other: Shape, axis: int) -> bool:
    return all(a == b for i, (a, b) in enumerate(zip(one, other, strict=True)) if i != axis)


def part(m: Maker) -> bool:
    """A slice, or halves of which both are used."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    if shape[axis] < 2:
        return False
    if shape[axis] % 2 == 0 and m.chance(0.5):
        half = (*shape[:axis], shape[axis] // 2, *shape[axis + 1 :])
        first = m.add("Split", [x], half, 2, axis=axis, num_outputs=2)
        if m.chance(0.6):
            gate = m.add("Sigmoid", [f"{first}_1"], half)
            m.add("Mul", [first, gate], half)
        return True
    start = m.size(0, shape[axis] - 2)
    end = m.size(start + 1, shape[axis])
    result = (*shape[:axis], end - start, *shape[axis + 1 :])
    bounds = [np.array([number], np.int64) for number in (start, end, axis)]
    m.add("Slice", [x, *bounds], result)
    return True


def padding(m: Maker) -> bool:
    """Of any value, or reflected."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    before, after = m.size(0, 2), m.size(0, 2)
    if max(before, after) >= shape[axis] or before + after == 0:
        return False
    pads = np.zeros((2, len(shape)), np.int64)
    pads[:, axis] = before, after
    result = (*shape[:axis], shape[axis] + before + after, *shape[axis + 1 :])
    mode = str(m.rng.choice(["constant", "constant", "reflect", "edge"]))
    value = [np.asarray(np.float32(m.pick(0, 0, 1, -10)))] if mode == "constant" else []
    m.add("Pad", [x, pads.reshape(-1), *value], result, mode=mode)
    return True


def pool(m: Maker) -> bool:
    """Largest and mean, with pads, or over all of the map."""
    x = m.tensor(4 if m.chance(0.5) else 3)
    if not x:
        return False
    batch, channels, *sizes = m.shapes[x]
    if m.chance(0.3):
        op = str(m.rng.choice(["GlobalAveragePool", "GlobalMaxPool"]))
        m.add(op, [x], (batch, channels, *([1] * len(sizes))))
        return True
    kernel = [min(m.size(2, 3), size) for size in sizes]
    stride = [m.size(1, 2) for _ in sizes]
    pads = [1 if k == 3 and m.chance(0.5) else 0 for k in kernel]
    total = zip(sizes, pads, kernel, stride, strict=True)
    result = [(s + 2 * p - k) // t + 1 for s, p, k, t in total]
    op = str(m.rng.choice(["MaxPool", "AveragePool"]))
    attrs = {"count_include_pad": m.size(0, 1)} if op == "AveragePool" else {}
    m.add(
        op, [x], (batch, channels, *result), kernel_shape=kernel, strides=stride,
        pads=[*pads, *pads], **attrs,
    )  # fmt: skip
    return True


def moved(m: Maker) -> bool:
    """Axes swapped, parted or joined; the batch stays."""
    x = m.tensor()
    shape = m.shapes[x]
    if len(shape) > 2 and m.chance(0.5):
        perm = [0, *(1 + m.rng.permutation(len(shape) - 1)).tolist()]
        m.add("Transpose", [x], tuple(shape[axis] for axis in perm), perm=perm)
        return True
    axis = m.size(1, len(shape) - 1)
    if len(shape) < 4 and shape[axis] % 2 == 0 and m.chance(0.5):
        sizes = [*shape[:axis], shape[axis] // 2, 2, *shape[axis + 1 :]]
    elif len(shape) > 2 and axis > 1:
        sizes = [*shape[: axis - 1], shape[axis - 1] * shape[axis], *shape[axis + 1 :]]
    else:
        return False
    m.add("Reshape", [x, np.array([0, *sizes[1:]], np.int64)], tuple(sizes))
    return True


def repeated(m: Maker) -> bool:
    """Along an axis."""
    x = m.tensor()
    shape = m.shapes[x]
    axis, times = m.size(1, len(shape) - 1), m.size(2, 5)
    if prod(shape) * times > LARGEST:
        return False
    count = np.ones(len(shape), np.int64)
    count[axis] = times
    result = (*shape[:axis], shape[axis] * times, *shape[axis + 1 :])
    m.add("Tile", [x, count], result)
    return True


def picked(m: Maker) -> bool:
    """Constant positions along an axis."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    places = m.rng.integers(0, shape[axis], m.size(1, 6))
    m.add("Gather", [x, places], (*shape[:axis], len(places), *shape[axis + 1 :]), axis=axis)
    return True


def blocks(m: Maker) -> bool:
    """Depth to space, and images resized."""
    x = m.tensor(4)
    if not x or prod(m.shapes[x]) > LARGEST // 4:
        return False
    batch, channels, height, width = m.shapes[x]
    if channels % 4 == 0 and m.chance(0.5):
        mode = str(m.rng.choice(["DCR", "CRD"]))
        shape = (batch, channels // 4, 2 * height, 2 * width)
        m.add("DepthToSpace", [x], shape, blocksize=2, mode=mode)
        return True
    scales = np.array([1, 1, 2, 2], np.float32)
    attrs = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    shape = (batch, channels, 2 * height, 2 * width)
    m.add("Resize", [x, None, scales], shape, nearest_mode="floor", **attrs)
    return True
