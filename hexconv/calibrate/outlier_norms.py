"""Norms of a stream whose channels are scaled: mean and mean square weigh the channels.

A large channel that is there in one token only makes that token's variance a hundred times that of
the others. The variance is computed in two ranges then, and so is the factor:
1 / sqrt(v) = 1 / sqrt(min(v, a)) * 1 / sqrt(1 + max(v - a, 0) / a).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.calibrate.channel_groups import Floats
from hexconv.calibrate.unlike_rows import SPREAD, Norm
from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.quantize import Bounds

UNLIKE = 2.0
"""Factor of a channel from which on its squares are summed apart: 8 bits hold no weights of the
square beside those of the others."""
ALIKE = 8
"""Columns of a mean that is spread: products of up to 4 inputs take five times the packets, and
have one scale for all channels (lowering/conv_emitter)."""
NEAR = 4.0
"""Of the smallest variance: below it the variance has a range of its own."""
LOWER = "/lower"
"""Name of the variance in that range, behind the factor's."""


def scale_mean(
    mean: ir.Node, differences: Sequence[ir.Node], factors: Floats, builder: FloatBuilder
) -> None:
    """Let a mean weigh the channels, and scale it for each channel that it is subtracted from.

    Args:
        mean: the node that computes it.
        differences: the nodes that subtract it.
        factors: of the channels.
        builder: of the graph.
    """
    builder.at(mean)
    row = np.repeat(np.asarray(1.0 / factors / factors.size)[:, None], ALIKE, axis=1)
    value = builder.op("MatMul", [mean.inputs[0], np.float32(row)], name=f"{mean.name}/weighed")
    columns = np.repeat(factors[None, :] / ALIKE, ALIKE, axis=0)
    spread = builder.op("MatMul", [value, np.float32(columns)])
    for node in differences:
        node.replace_input_with(1, spread)


def large_among(factors: Floats) -> npt.NDArray[np.intp]:
    """The channels whose squares are summed apart."""
    return np.flatnonzero(factors < 1.0 / UNLIKE)


def scale_norm(
    norm: Norm,
    factors: Floats,
    usual: float,
    builder: FloatBuilder,
    ranges: Mapping[str, Bounds],
    *,
    measured: bool,
    of_usual: bool,
) -> None:
    """Replace the factor of a norm by that of the channels as they were.

    Args:
        norm: whose source is scaled.
        factors: of the channels.
        usual: the largest value of a channel of usual size, scaled.
        builder: of the graph.
        ranges: (min, max) of each value as it was.
        measured: whether they have those of what this makes: two ranges are used if so then, also
            where other ranges than those measured would tell otherwise.
        of_usual: whether the mean of the usual channels is 0, and that of all is to be subtracted:
            it is a sum of the large ones.
    """
    builder.at(norm.factor)
    lower = f"{norm.factor.outputs[0].name}{LOWER}"
    low, high = ranges.get(str(norm.reduced.outputs[0].name), (1.0, 1.0))
    weights = 1.0 / factors**2
    if norm.reduced.op_type == "ReduceMean":
        weights = weights / factors.size
    large = large_among(factors)
    most = np.float32(usual**2) if large.size else None
    sums = _Sums(norm.source, builder, most, factors.size if of_usual else None)
    small = sums.of_all(np.where(factors < 1.0 / UNLIKE, 0.0, weights))
    if not large.size:
        factor = _inverse_root(small, norm.epsilon, builder)
    elif lower not in ranges if measured else high <= SPREAD * (low + norm.epsilon):
        total = builder.op("Add", [small, sums.of_some(large, weights)])
        factor = _inverse_root(total, norm.epsilon, builder)
    else:
        near = np.float32(max(NEAR * low, high / SPREAD**2))
        parts = (small, sums.of_some(large, weights, near), sums.of_some(large, weights))
        factor = _in_two_ranges(parts, near, norm.epsilon, builder, lower)
    for product in norm.products:
        product.replace_input_with(list(product.inputs).index(norm.factor.outputs[0]), factor)


class _Sums:
    """Weighted sums of the squares of a tensor's channels."""

    def __init__(
        self,
        source: ir.Value,
        builder: FloatBuilder,
        most: np.float32 | None,
        about_mean_of: int | None,
    ) -> None:
        self._source, self._builder, self._about_mean_of = source, builder, about_mean_of
        self._squares = builder.op("Mul", [source, source])
        if most is not None:  # beyond it are channels that are summed apart
            self._squares = builder.op("Clip", [self._squares, np.float32(0.0), most])

    def of_all(self, weights: Floats) -> ir.Value:
        """The sum over all channels."""
        column = np.asarray(weights, np.float32)[:, None]
        return self._builder.op("MatMul", [self._squares, column])

    def of_some(
        self,
        channels: npt.NDArray[np.intp],
        weights: Floats,
        most: np.float32 | None = None,
    ) -> ir.Value:
        """The sum over some channels, squared apart: in a range of their own.

        Args:
            channels: their numbers.
            weights: (channels,) of all.
            most: from which on it may be less than the sum.
        """
        root = np.eye(channels.size)
        if self._about_mean_of is not None:  # root of I - 1 1'/n: squares about the mean
            rest = 1.0 - np.sqrt(1.0 - channels.size / self._about_mean_of)
            root = root - rest / channels.size
        count = channels.size
        columns = 1 if count == 1 else max(count, ALIKE)  # those beyond `count` are 0
        chosen = np.zeros((weights.size, columns))
        chosen[channels, :count] = np.sqrt(weights[channels])[:, None] * root
        part = self._builder.op("MatMul", [self._source, np.float32(chosen)])
        if most is not None:  # what is squared has all its levels below it
            ends = -np.sqrt(most), np.sqrt(most)
            part = self._builder.op("Clip", [part, *np.asarray(ends, np.float32)])
        squares = self._builder.op("Mul", [part, part])
        if columns == 1:
            return squares
        return self._builder.op("MatMul", [squares, np.ones((columns, 1), np.float32)])


def _in_two_ranges(
    parts: tuple[ir.Value, ir.Value, ir.Value],
    near: np.float32,
    epsilon: float,
    builder: FloatBuilder,
    name: str,
) -> ir.Value:
    """1 / sqrt(a + b + epsilon) of parts a, b and b again, below and beyond `near`.

    Args:
        parts: of the variance.
        near: where the first range ends.
        epsilon: of the norm.
        builder: where it is computed.
        name: of the variance below `near`.
    """
    small, clipped, whole = parts
    clipped = builder.op("Clip", [clipped, np.float32(0.0), near])
    lower = builder.op("Add", [small, clipped])
    lower = builder.op("Clip", [lower, np.float32(0.0), near], name=name)
    upper = builder.op("Sub", [builder.op("Add", [small, whole]), near])
    beyond = builder.op("Mul", [builder.op("Relu", [upper]), np.float32(1.0 / near)])
    roots = [_inverse_root(lower, epsilon, builder), _inverse_root(beyond, 1.0, builder)]
    return builder.op("Mul", roots)


def _inverse_root(value: ir.Value, epsilon: float, builder: FloatBuilder) -> ir.Value:
    """1 / sqrt(value + epsilon)."""
    if epsilon:
        value = builder.op("Add", [value, np.float32(epsilon)])
    return builder.op("Reciprocal", [builder.op("Sqrt", [value])])
