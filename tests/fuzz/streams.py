"""Makes random networks around a residual stream: post-norm, pre-norm, without norms, of images.

Channels are far above the others, in all rows or in one; some are constant. Terms of a sum are
scaled, subtracted, broadcast, read by other ops, outputs as well. Constants are shared. What ends
in a softmax has a temperature. Of the samples one may be silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tests.fuzz.cases import Array, Case, Feeds
from tests.fuzz.maker import Maker

SAMPLES, FRESH = 12, 12
"""Of calibration, and others."""
WIDTHS = (12, 24, 31, 33, 40, 48, 64, 65, 96)
WIDE = (128, 160, 255, 256, 257, 260, 288)
ROWS = 8
"""Of a wide stream at most, so that a graph takes seconds."""
Item = str | Array


@dataclass
class _Stream:
    """What is being made: nodes and the constants that may be shared."""

    m: Maker
    shape: tuple[int, ...]
    images: bool
    kind: str
    large: Array
    shared: dict[str, Array]

    @property
    def width(self) -> int:
        """Channels."""
        return self.shape[1] if self.images else self.shape[-1]

    def row(self, values: Array) -> Array:
        """A number for each channel, as it broadcasts over the stream."""
        return values.reshape(-1, 1, 1) if self.images else values

    def const(self, key: str, values: Array) -> Array:
        """A constant, or the one of an earlier layer."""
        return self.shared.setdefault(key, values) if self.m.chance(0.15) else values


def random_stream(seed: int) -> Case:
    """The network of a seed; every fourth one is wide."""
    rng = np.random.default_rng(seed)
    m = Maker(rng)
    images, wide = m.chance(0.2), seed % 4 == 3
    width = int(rng.choice(WIDE if wide else WIDTHS))
    batch = int(rng.choice([1, 1, 1, 2]))
    rows = m.size(2, ROWS if wide else 16)
    shape = (batch, width, m.size(1, 4), m.size(2, 4)) if images else (batch, rows, width)
    kind = str(rng.choice(["post", "pre", "plain"], p=[0.4, 0.35, 0.25]))
    if images:
        kind = "plain"
    large = np.zeros(width, np.float32)
    if m.chance(0.75):
        chosen = rng.choice(width, m.size(1, 3), replace=False)
        large[chosen] = rng.choice([8, 16, 60, 300]) * rng.choice([-1, 1], chosen.size)
    stream = _Stream(m, shape, images, kind, large, {})
    ends = _network(stream)
    loud = m.chance(0.3)
    silent = m.size(0, SAMPLES - 1) if m.chance(0.25) else -1
    feeds = [_feeds(stream, loud) for _ in range(SAMPLES + FRESH)]
    if silent >= 0:
        quiet = np.float32(m.pick(0, 0, 1e-4))
        feeds[silent] = {name: quiet * values for name, values in feeds[silent].items()}
    case = Case(
        seed,
        dict(m.inputs),
        tuple(m.steps),
        tuple(dict.fromkeys(ends)),
        tuple(feeds[:SAMPLES]),
        tuple(feeds[SAMPLES:]),
    )
    return case.tidied()


def _network(s: _Stream) -> list[str]:
    m = s.m
    x = _start(s)
    ends, sums = [], []
    for _ in range(m.size(1, 3) if s.kind != "plain" else m.size(2, 6)):
        source = _norm(s, x) if s.kind == "pre" else x
        terms = [_branch(s, source)]
        while m.chance(0.2) and len(terms) < 3:
            terms.append(_branch(s, source))
        x = _sum(s, x, terms)
        sums.append(x)
        if s.kind == "post" and m.chance(0.9):
            x = _norm(s, x)
            sums.append(x)
    for name in sums[:-1]:
        if m.chance(0.06):
            ends.append(name)
        elif m.chance(0.08):
            ends.append(m.add(str(m.rng.choice(["Sigmoid", "Tanh", "Relu"])), [name], s.shape))
    if s.kind == "pre" and m.chance(0.7):
        x = _norm(s, x)
    return [_end(s, x), *ends]


def _start(s: _Stream) -> str:
    """The input, what a layer makes of it, with a constant added."""
    m = s.m
    m.inputs["x0"] = s.shape
    m.shapes["x0"] = s.shape
    x = "x0"
    if m.chance(0.6):
        x = _linear(s, x, s.width)
    if m.chance(0.4):
        form = m.size(0, 2)
        pos = m.noise(*(s.shape[1:] if form == 0 else (1, *s.shape[1:])), scale=0.3)
        if m.chance(0.4) and not s.images:
            pos[..., 0, :] += s.large
        x = m.add("Add", [x, pos if form < 2 else s.row(m.noise(s.width))], s.shape)
    return x


def _linear(s: _Stream, x: str, columns: int, scale: float = 1.0, large: bool = False) -> str:
    """A product with constant weights, of which some columns may be 0."""
    m, shape = s.m, s.m.shapes[x]
    inputs = shape[1] if s.images else shape[-1]
    weights = m.noise(inputs, columns, scale=scale / np.sqrt(inputs))
    bias = m.noise(columns, scale=0.1)
    if m.chance(0.15):
        weights[:, m.size(0, columns - 1)] = 0.0
    if large and columns == s.width:
        _raise(s, weights, bias)
    if m.chance(0.05):
        bias[:] = 0.0
    if s.images:
        kernel = weights.T.reshape(columns, inputs, 1, 1)
        result = (shape[0], columns, *shape[2:])
        return m.add("Conv", [x, np.ascontiguousarray(kernel), bias], result)
    weights = s.const(f"w{inputs},{columns}", weights)
    result = (*shape[:-1], columns)
    y = m.add("MatMul", [x, weights], result)
    if m.chance(0.9):
        y = m.add("Add", [y, bias] if m.chance(0.8) else [bias, y], result)
    return y


def _raise(s: _Stream, weights: Array, bias: Array) -> None:
    """Make the large channels large: in all rows by the bias, or as one row of weights says."""
    for channel in np.flatnonzero(s.large):
        if s.m.chance(0.3):
            bias[channel] += s.large[channel]
        else:
            weights[:, channel] *= abs(s.large[channel])


def _branch(s: _Stream, x: str) -> str:
    """What is added to the stream."""
    m = s.m
    kind = m.size(0, 9)
    if kind == 0 and not s.images:
        y = _attention(s, x)
    elif kind == 1:
        y = _gated(s, x)
    elif kind == 2:
        y = _pooled(s, x)
    elif kind == 3:
        y = _linear(s, x, s.width, 0.5, large=True)
    else:
        hidden = _linear(s, x, int(m.rng.choice([8, 32, 33, 48])))
        act = str(m.rng.choice(["Relu", "Relu", "Sigmoid", "Tanh", "Softplus", "Elu"]))
        y = _linear(s, m.add(act, [hidden], m.shapes[hidden]), s.width, large=m.chance(0.6))
    if m.chance(0.12):
        factor = m.noise(s.width, scale=0.3) if m.chance(0.5) else None
        scale = np.asarray(np.float32(m.pick(0.1, 0.5, 2))) if factor is None else s.row(factor)
        y = m.add("Mul", [y, scale], m.shapes[y])
    return y


def _attention(s: _Stream, x: str) -> str:
    m, size = s.m, 16
    batch, rows, _ = s.shape
    q, k, v = (_linear(s, x, size) for _ in range(3))
    turned = m.add("Transpose", [k], (batch, size, rows), perm=[0, 2, 1])
    scores = m.add("MatMul", [q, turned], (batch, rows, rows))
    scores = m.add("Mul", [scores, np.asarray(np.float32(0.25))], (batch, rows, rows))
    weights = m.add("Softmax", [scores], (batch, rows, rows), axis=-1)
    return _linear(s, m.add("MatMul", [weights, v], (batch, rows, size)), s.width)


def _gated(s: _Stream, x: str) -> str:
    """A layer times the sigmoid of another one, or of itself (SiLU)."""
    m, y = s.m, _linear(s, x, s.width)
    gate = m.add("Sigmoid", [y if m.chance(0.5) else _linear(s, x, s.width)], s.shape)
    return m.add("Mul", [y, gate], s.shape)


def _pooled(s: _Stream, x: str) -> str:
    """A layer of the mean over all rows: it is broadcast."""
    m, axes = s.m, [2, 3] if s.images else [1]
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(s.shape))
    mean = m.add("ReduceMean", [x, np.array(axes, np.int64)], shape)
    return _linear(s, mean, s.width)


def _sum(s: _Stream, x: str, terms: list[str]) -> str:
    """The stream and its terms, added one by one, as one Sum, or to each other first."""
    m = s.m
    if len(terms) > 1 and m.chance(0.2):
        return m.add("Sum", [x, *terms], s.shape)
    if len(terms) > 1 and m.chance(0.3) and all(m.shapes[term] == s.shape for term in terms):
        while len(terms) > 1:
            terms = [m.add("Add", terms[:2], s.shape), *terms[2:]]
    for term in terms:
        pair = [x, term] if m.chance(0.8) else [term, x]
        x = m.add("Sub" if m.chance(0.07) else "Add", pair, s.shape)
    return x


def _norm(s: _Stream, x: str) -> str:
    """Layer norm as one node or written out, or of the root mean square."""
    m = s.m
    gamma, beta = 1 + m.noise(s.width, scale=0.2), m.noise(s.width, scale=0.1)
    if m.chance(0.3):
        gamma[np.flatnonzero(s.large)] *= np.float32(m.pick(0.05, 6, 20))
    if m.chance(0.1):
        gamma[m.size(0, s.width - 1)] = 0.0
    if m.chance(0.1):
        beta[:] = 0.0
    gamma, epsilon = s.const("gamma", gamma), m.pick(1e-5, 1e-5, 1e-6, 1e-12)
    kind = m.size(0, 9)
    if kind < 5:
        return m.add("LayerNormalization", [x, gamma, beta], s.shape, axis=-1, epsilon=epsilon)
    last, mean = np.array([-1], np.int64), (*s.shape[:-1], 1)
    middle = x
    if kind < 8:
        middle = m.add("Sub", [x, m.add("ReduceMean", [x, last], mean)], s.shape)
    op, exponent = ("Pow", np.asarray(np.float32(2))) if m.chance(0.6) else ("Mul", middle)
    square = m.add(op, [middle, exponent], s.shape)
    variance = m.add("ReduceMean", [square, last], mean)
    variance = m.add("Add", [variance, np.asarray(np.float32(max(epsilon, 1e-6)))], mean)
    y = m.add("Div", [middle, m.add("Sqrt", [variance], mean)], s.shape)
    if kind == 9:
        return y
    y = m.add("Mul", [y, gamma] if m.chance(0.7) else [gamma, y], s.shape)
    return m.add("Add", [y, beta], s.shape) if kind < 8 or m.chance(0.2) else y


def _end(s: _Stream, x: str) -> str:
    """The stream, a layer of it, probabilities, however reshaped."""
    m = s.m
    if m.chance(0.15):
        return x
    y = _linear(s, x, m.size(2, 12), m.pick(0.5, 1, 2, 5))
    shape = m.shapes[y]
    op = str(m.rng.choice(["", "", "Softmax", "Softmax", "LogSoftmax", "Sigmoid", "Tanh"]))
    if op in ("Softmax", "LogSoftmax"):
        axis = 1 if s.images or m.chance(0.1) else -1
        y = m.add(op, [y], shape, axis=axis)
        if m.chance(0.25):
            y = m.add(
                "Reshape", [y, np.array([-1, shape[-1]], np.int64)], (prod(shape[:-1]), shape[-1])
            )
    elif op:
        y = m.add(op, [y], shape)
    return y


def _feeds(s: _Stream, loud: bool) -> Feeds:
    """Normal; the large channels are so in one row, or all, if the input has them."""
    values = s.m.noise(*s.shape, scale=s.m.pick(1, 1, 0.7, 0.5))
    if loud and not s.images:
        values[:, 0] += s.large
    return {"x0": values}
