"""Layers of networks, each on a tensor of the graph: products, activations, norms, recurrence.

Each returns whether it found a tensor that it fits.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tests.fuzz.cases import Array
from tests.fuzz.maker import LARGEST, Maker


def convolution(m: Maker) -> bool:
    """1-D and 2-D, dense, grouped and depthwise, dilated, with a stride, padded or not."""
    x = m.tensor(4 if m.chance(0.5) else 3) or m.tensor(3)
    if not x:
        return False
    batch, channels, *sizes = m.shapes[x]
    kernel = [m.size(1, min(7 if m.wide else 5, size)) for size in sizes]
    dilation = [m.size(1, 2) if (k - 1) * 2 < s else 1 for k, s in zip(kernel, sizes, strict=True)]
    stride = [m.size(1, 2) if m.chance(0.3) else 1 for _ in sizes]
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    pads = [r // 2 if m.chance(0.8) else 0 for r in reach]
    after = [r - r // 2 if p else 0 for r, p in zip(reach, pads, strict=True)]
    group = channels if m.chance(0.2) else 2 if channels % 2 == 0 and m.chance(0.1) else 1
    outputs = channels if m.chance(0.5) or group > 1 else m.channels(1, 12)
    total = zip(sizes, pads, after, reach, stride, strict=True)
    result = [(s + p + a - r - 1) // t + 1 for s, p, a, r, t in total]
    weights = m.noise(outputs, channels // group, *kernel)
    weights *= np.float32(m.pick(0.2, 1, 1, 3) / np.sqrt(weights[0].size))
    if m.wide:
        weights *= m.rng.uniform(0.1, 1.0, (outputs, *[1] * (weights.ndim - 1))).astype(np.float32)
    bias = m.noise(outputs, scale=m.pick(0.1, 0.3, 2)) if m.chance(0.6) else None
    m.add(
        "Conv",
        [x, weights, *([] if bias is None else [bias])],
        (batch, outputs, *result),
        group=group,
        dilations=dilation,
        strides=stride,
        pads=[*pads, *after],
    )
    return True


def transposed_convolution(m: Maker) -> bool:
    """That doubles the sizes."""
    x = m.tensor(3) or m.tensor(4)
    if not x or prod(m.shapes[x]) > LARGEST // 4:
        return False
    batch, channels, *sizes = m.shapes[x]
    outputs, axes = m.channels(1, 8), len(sizes)
    weights = m.noise(channels, outputs, *[4] * axes, scale=0.7 / np.sqrt(channels * 2**axes))
    shape = (batch, outputs, *(2 * size for size in sizes))
    attrs = {"strides": [2] * axes, "pads": [1] * 2 * axes}
    m.add("ConvTranspose", [x, weights, m.noise(outputs, scale=0.1)], shape, **attrs)
    return True


def linear(m: Maker) -> bool:
    """A product with constant weights, with a bias of any kind, or none."""
    x = m.tensor()
    shape = m.shapes[x]
    columns = shape[-1] if m.chance(0.4) else m.channels(1, 12)
    weights = m.noise(shape[-1], columns, scale=m.pick(0.2, 1, 1, 3) / np.sqrt(shape[-1]))
    result = (*shape[:-1], columns)
    y = m.add("MatMul", [x, weights], result)
    if m.chance(0.6):
        bias = m.noise(columns, scale=m.pick(0.1, 1)) if m.chance(0.8) else np.float32(0.7)
        pair: list[str | Array | None] = [y, np.asarray(bias)]
        m.add("Add", pair if m.chance(0.7) else pair[::-1], result)
    return True


def attention(m: Maker) -> bool:
    """Scores of a sequence with itself, scaled, masked, a softmax, and the mix."""
    x = m.tensor(3)
    if not x:
        return False
    batch, rows, width = m.shapes[x]
    turned = m.add("Transpose", [x], (batch, width, rows), perm=[0, 2, 1])
    scores = m.add("MatMul", [x, turned], (batch, rows, rows))
    factor = np.float32(m.pick(0.1, 1.0) / np.sqrt(width))
    scores = m.add(
        "Mul" if m.chance(0.6) else "Div", [scores, _for(factor, m)], (batch, rows, rows)
    )
    weighs = m.chance(0.8)
    if m.chance(0.4):
        seen = np.tri(rows, dtype=bool)[None]
        low = np.float32(m.pick(-5, -100, -1e4, -1e9) if weighs else -5)
        scores = m.add("Where", [seen, scores, low], (batch, rows, rows))
        m.shapes.pop(scores)  # a mask's -1e9 is for the softmax alone
    if weighs:
        scores = m.add("Softmax", [scores], (batch, rows, rows), axis=-1)
    m.add("MatMul", [scores, x], (batch, rows, width))
    return True


def _for(factor: np.float32, m: Maker) -> Array:
    """A factor; the reciprocal of one as often as not does no harm."""
    return np.asarray(factor if m.chance(0.7) else np.float32(1) / factor)


ACTIVATIONS = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "HardSwish", "Abs", "Neg", "Softplus",
               "Erf", "Gelu", "PRelu", "Exp")  # fmt: skip


def activation(m: Maker, op: str = "") -> bool:
    """A function of one variable, by default any."""
    x = m.tensor()
    op = op or str(m.rng.choice(["Relu", *ACTIVATIONS]))
    shape = m.shapes[x]
    if op == "LeakyRelu":
        m.add(op, [x], shape, alpha=m.pick(0.01, 0.1, 0.3))
    elif op == "PRelu":
        axis = m.size(0, len(shape) - 1)
        sizes = [s if a == axis and a else 1 for a, s in enumerate(shape)]
        m.add(op, [x, np.abs(m.noise(*sizes, scale=0.3))], shape)
    elif op == "Gelu":
        inner = m.add("Erf", [m.add("Div", [x, np.float32(np.sqrt(2))], shape)], shape)
        gate = m.add("Add", [inner, np.float32(1)], shape)
        m.add("Mul", [m.add("Mul", [x, gate], shape), np.float32(0.5)], shape)
    elif op == "Exp":
        m.add(op, [m.add("Clip", [x, np.float32(-6), np.float32(2)], shape)], shape)
    else:
        m.add(op, [x], shape)
    return True


def clip(m: Maker) -> bool:
    """Bounds on both sides of zero, or not; inside of the data, or not."""
    x = m.tensor()
    low, high = sorted(m.pick(-3, -1, -0.5, -0.1, 0, 0.1, 0.4, 1, 6) for _ in range(2))
    if low == high:
        high += 0.5
    bounds: list[Array | None] = [np.asarray(np.float32(low)), np.asarray(np.float32(high))]
    if m.chance(0.2):
        bounds[m.size(0, 1)] = None
    m.add("Clip", [x, *bounds], m.shapes[x])
    return True


def norm(m: Maker) -> bool:
    """Layer norm as one node, or written out; instance norm."""
    x = m.tensor()
    shape = m.shapes[x]
    if shape[-1] < 4:
        return False
    scale, bias = 1 + m.noise(shape[-1], scale=0.3), m.noise(shape[-1], scale=0.3)
    if len(shape) > 2 and m.chance(0.2) and prod(shape[2:]) > 3:
        parts = [1 + m.noise(shape[1], scale=0.3), m.noise(shape[1], scale=0.3)]
        m.add("InstanceNormalization", [x, *parts], shape, epsilon=1e-3)
    elif m.chance(0.6):
        m.add("LayerNormalization", [x, scale, bias], shape, axis=-1, epsilon=1e-3)
    else:
        last, mean = np.array([-1], np.int64), (*shape[:-1], 1)
        middle = m.add("Sub", [x, m.add("ReduceMean", [x, last], mean)], shape)
        square = m.add("Pow", [middle, np.float32(2)], shape)
        variance = m.add("Add", [m.add("ReduceMean", [square, last], mean), np.float32(1e-3)], mean)
        m.add("Div", [middle, m.add("Sqrt", [variance], mean)], shape)
    return True


def recurrent(m: Maker) -> bool:
    """A few steps of a GRU or LSTM."""
    x = m.tensor(3)
    if not x or m.shapes[x][1] > 4:
        return False
    batch, steps, width = m.shapes[x]
    hidden, op = m.size(2, 6), str(m.rng.choice(["GRU", "LSTM"]))
    gates = {"GRU": 3, "LSTM": 4}[op]
    turned = m.add("Transpose", [x], (steps, batch, width), perm=[1, 0, 2])
    scale = 1 / np.sqrt(width)
    parts = [
        m.noise(1, gates * hidden, width, scale=scale),
        m.noise(1, gates * hidden, hidden, scale=0.4),
        m.noise(1, 2 * gates * hidden, scale=0.2),
    ]
    y = m.add(op, [turned, *parts], (steps, 1, batch, hidden), hidden_size=hidden)
    m.shapes.pop(turned)
    m.shapes.pop(y)
    flat = m.add("Squeeze", [y, np.array([1], np.int64)], (steps, batch, hidden))
    m.shapes.pop(flat)
    m.add("Transpose", [flat], (batch, steps, hidden), perm=[1, 0, 2])
    return True


def affine(m: Maker) -> bool:
    """A factor and an addend for each channel, as norms end, or a BatchNormalization."""
    x = m.tensor()
    shape = m.shapes[x]
    if len(shape) > 2 and m.chance(0.6):
        n = shape[1]
        parts = [1 + m.noise(n, scale=0.3), m.noise(n, scale=0.5), m.noise(n, scale=0.3)]
        variance = np.abs(m.noise(n)) + np.float32(0.2)
        m.add("BatchNormalization", [x, *parts, variance], shape)
        return True
    y = m.add("Mul", [x, 1 + m.noise(shape[-1], scale=0.3)], shape)
    m.add("Add", [y, m.noise(shape[-1], scale=0.5)], shape)
    return True
