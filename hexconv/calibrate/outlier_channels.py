"""Channels of a residual stream that are far larger than the others are scaled down.

Which ones they are is measured, and kept with the ranges: a range file gives the same model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.arrays import FloatArray
from hexconv.calibrate.centered_sums import center_sums
from hexconv.calibrate.changes import Use, replace_each
from hexconv.calibrate.channel_copies import ScaledStream, copy_channels
from hexconv.calibrate.channel_entries import entry, is_channel
from hexconv.calibrate.channel_groups import Floats, Weighted
from hexconv.calibrate.copied_columns import APPENDED
from hexconv.calibrate.outlier_norms import large_among, scale_mean, scale_norm
from hexconv.calibrate.split_rows import split_rows
from hexconv.calibrate.stream_groups import StreamGroup, stream_groups
from hexconv.calibrate.unlike_rows import is_unlike, norm_of
from hexconv.calibrate.usual_means import subtract_usual_mean, without_mean
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.quantize import Bounds

NAME, MEDIAN = "/scaled", "median"
CREST = 8.0
"""Largest value, in roots of usual mean squares, from which on the channels are measured."""
LARGE = 1.25
"""By how much a channel exceeds the median one to be scaled down."""
WORTH = 4.0
"""By how much the largest channel of a model's streams has to."""
BEYOND_ROWS = 5.8
"""The same of a stream whose rows' mean squares differ by more than 255 levels can tell apart."""
WORTH_BESIDE = 2.0
"""The same of a stream, where another one has such a channel."""
STRENGTH = 0.9
"""Share of it, as an exponent, that activations are relieved of; the rest stays with them."""
USUAL = 3.0
"""Largest value of a channel that is no outlier, scaled, in those of the median one."""
MOSTLY = 0.95
"""Share of unlike rows' squares from which on large channels are all that the rows are.

Of MiniLM-L6's last stream they have 0.85, of one with three channels and nothing else 0.98.
"""
MOVED = 0.125
"""By how much of the median channel large ones move the others, from which on they do not."""
MOST = 64.0
"""By how much a channel is scaled down at most: the library has weight scales from 1/1024 on."""


def stream_meters(graph: FloatGraph, observed: Mapping[str, Bounds]) -> list[StreamMeter]:
    """What measures the streams with a value far above usual rows."""
    groups = stream_groups(graph)
    centered = without_mean(groups)
    meters: list[StreamMeter] = []
    meters += [
        StreamMeter(group, observed, meters, centered=group in centered)
        for group in groups
        if _crested(group, observed)
    ]
    return meters


class StreamMeter:
    """What is measured of the channels of a stream.

    Attributes:
        tensors: the sums of the stream, what is added, and what norms return if they are several.
    """

    def __init__(
        self,
        group: StreamGroup,
        observed: Mapping[str, Bounds],
        others: Sequence[StreamMeter],
        *,
        centered: bool,
    ) -> None:
        self._sums = [str(value.name) for value in _sums(group)]
        # Of one norm, channels are scaled for what it reads: finer results would cost that levels.
        several = len(group.norms) > 1
        self.tensors = [str(v.name) for v in group.values] if several else self._sums
        self._peaks = {name: np.zeros(group.channels) for name in self.tensors}
        self._key, self._others, self._centered = group.name, others, centered
        self._shares = np.zeros(group.channels)
        norms = (norm for norm in group.norms.values() if is_unlike(norm, observed))
        self._sources = {str(norm.source.name) for norm in norms}

    def take(self, name: str, array: FloatArray) -> None:
        """One tensor of a sample, of whose last axis are the channels."""
        peaks = self._peaks[name]
        rows = np.abs(array, dtype=np.float64).reshape(-1, peaks.size)
        sizes = _less_usual(array.reshape(rows.shape)) if self._centered else rows
        self._peaks[name] = np.maximum(peaks, sizes.max(axis=0))
        if name in self._sources:
            squares = rows**2
            sums = squares.sum(axis=1, keepdims=True)
            self._shares += np.divide(squares, sums, where=sums > 0.0, out=squares).sum(axis=0)

    @cached_property
    def peaks(self) -> Floats:
        """(channels,) the largest values, what norms return as large as the sums."""
        peaks = np.max([self._peaks[name] for name in self._sums], axis=0)
        median = float(np.median(peaks))
        for name in self.tensors:
            usual = float(np.median(self._peaks[name]))
            if name not in self._sums and usual > 0.0:
                peaks = np.maximum(peaks, self._peaks[name] * (median / usual))
        return np.asarray(peaks)

    @property
    def largest(self) -> float:
        """The largest channel, in median ones; 0 if these are silent."""
        median = float(np.median(self.peaks))
        return float(self.peaks.max()) / median if median > 0.0 else 0.0

    def entries(self) -> dict[str, Bounds]:
        """Ranges of the large channels, and of the median one, where any are."""
        median = float(np.float32(np.median(self.peaks)))
        channels = np.flatnonzero(self.peaks > LARGE * median)
        if self.largest <= WORTH_BESIDE or self._are_the_rows(channels):
            return {}
        if self._sources and self.largest <= BEYOND_ROWS:
            return {}  # rows differ more than channels: each is brought near 1 (unlike_rows.py)
        if max(meter.largest for meter in self._others) <= WORTH:
            return {}
        large = {str(c): float(np.float32(self.peaks[c])) for c in channels}
        sizes = {MEDIAN: median, **large}
        return {entry(self._key, name): (-size, size) for name, size in sizes.items()}

    def _are_the_rows(self, large: npt.NDArray[np.intp]) -> bool:
        """Whether unlike rows are what these channels are: the norm has no usual rows to keep."""
        return float(self._shares[large].sum()) > MOSTLY * float(self._shares.sum())


def _less_usual(rows: FloatArray) -> Floats:
    """Sizes less the median of each row: nearly those without the mean of its usual channels."""
    exact = rows.astype(np.float64)
    return np.asarray(np.abs(exact - np.median(exact, axis=1, keepdims=True)))


def _sums(group: StreamGroup) -> list[ir.Value]:
    """The sums of the stream, and what is added."""
    products = {node.outputs[0] for norm in group.norms.values() for node in norm.products}
    return [value for value in group.values if value not in products]


def _crested(group: StreamGroup, observed: Mapping[str, Bounds]) -> bool:
    """Whether a value is far above usual rows: the geometric mean of the quietest and loudest."""
    for norm in group.norms.values():
        low, high = observed.get(str(norm.source.name), (0.0, 0.0))
        squares = observed.get(str(norm.reduced.outputs[0].name), (0.0, 0.0))
        usual = float(np.sqrt(max(squares[0], 0.0) * max(squares[1], 0.0)))
        if norm.reduced.op_type == "ReduceSum":
            usual /= group.channels
        if max(-low, high) ** 2 > CREST**2 * usual:
            return True
    return False


def scale_outliers(
    graph: FloatGraph, ranges: Mapping[str, Bounds], *, measured: bool = False
) -> int:
    """Scale large channels down, in the weights, gammas and betas around them.

    Args:
        graph: changed in place; scaled tensors have new names.
        ranges: (min, max) of each value, and of the large channels.
        measured: leave streams alone whose new tensors are not in `ranges`.

    Returns:
        How many streams were scaled.
    """
    if not any(map(is_channel, ranges)):
        return 0
    builder, read = FloatBuilder(graph.graph), dict[ir.Value, list[ir.Node]]()
    groups = _chosen(stream_groups(graph), ranges, measured)
    differences = [node for group in groups for nodes in group.means.values() for node in nodes]
    if center_sums(differences, builder):
        remove_dead(graph.graph)
        groups = _chosen(stream_groups(graph), ranges, measured)
    for group in without_mean([*groups]):
        if _moves_others(group, groups[group], ranges):
            subtract_usual_mean(group, large_among(groups[group]), builder)
    scaled = [_scaled(g, factors, builder, ranges, measured) for g, factors in groups.items()]
    for group in groups:
        for layer in group.readers.values():
            if not layer.depthwise:
                read.setdefault(layer.source, []).append(layer.node)
    copied = copy_channels(scaled, builder, _of_unlike_rows(graph, ranges, measured))
    split_rows({value: nodes for value, nodes in read.items() if value not in copied}, builder)
    if groups:
        remove_dead(graph.graph)
    return len(groups)


def _of_unlike_rows(
    graph: FloatGraph, ranges: Mapping[str, Bounds], measured: bool
) -> set[ir.Value]:
    """What norms that are not scaled return, where rows will be (unlike_rows.py): they stay."""
    norms = [norm for node in graph.nodes if (norm := norm_of(node)) is not None]
    products = {node.outputs[0]: norm for norm in norms for node in norm.products}
    if measured:  # as they were then: other ranges may tell otherwise
        return {value for value in products if f"{value.name}{APPENDED}" in ranges}
    return {value for value, norm in products.items() if is_unlike(norm, ranges)}


def _chosen(
    groups: Sequence[StreamGroup], ranges: Mapping[str, Bounds], measured: bool
) -> dict[StreamGroup, Floats]:
    """The groups that are scaled, and the factors of their channels."""
    found = {}
    for group in groups:
        factors = _factors(group, ranges)
        known = any(f"{value.name}{NAME}" in ranges for value in group.values)
        if factors is not None and (known or not measured):
            found[group] = factors
    return found


def _factors(group: StreamGroup, ranges: Mapping[str, Bounds]) -> Floats | None:
    """1 for channels of usual size, less for large ones."""
    median = ranges.get(entry(group.name, MEDIAN))
    if median is None or median[1] <= 0.0:
        return None
    factors = np.ones(group.channels)
    for channel in range(group.channels):
        size = ranges.get(entry(group.name, channel))
        if size is not None:
            factors[channel] = _factor(size[1] / median[1])
    return factors if (factors < 1.0).any() else None


def _sizes(group: StreamGroup, ranges: Mapping[str, Bounds]) -> list[float]:
    """Of each channel, the median for those that are not large."""
    usual = ranges[entry(group.name, MEDIAN)]
    return [ranges.get(entry(group.name, channel), usual)[1] for channel in range(group.channels)]


def _moves_others(group: StreamGroup, factors: Floats, ranges: Mapping[str, Bounds]) -> bool:
    """Whether large channels move the others by more than a little, where the mean is 0."""
    large = large_among(factors)
    moved = np.asarray(_sizes(group, ranges))[large].sum() / group.channels
    return bool(moved > MOVED * ranges[entry(group.name, MEDIAN)][1])


def _factor(size: float) -> float:
    """Of a channel that is `size` times as large as the median one."""
    return float(np.clip(size**-STRENGTH, 1.0 / MOST, 1.0))


def _scaled(
    group: StreamGroup,
    factors: Floats,
    builder: FloatBuilder,
    ranges: Mapping[str, Bounds],
    measured: bool,
) -> ScaledStream:
    """Scale a stream."""
    peak = float((factors * _sizes(group, ranges)).max())
    median = ranges[entry(group.name, MEDIAN)][1]
    for node in dict.fromkeys((*group.writers, *group.readers)):
        written = factors if node in group.writers else None
        read = factors if node in group.readers else None
        layer = group.writers.get(node) or group.readers[node]
        builder.change_const(node, 1, _weights(layer, written, read), NAME)
    for node, position in group.added:
        array = array_of(node.inputs[position])
        assert array is not None
        builder.change_const(node, position, np.asarray(array * factors, np.float32), NAME)
    _multiply(group.entries, factors, builder)
    for mean, differences in group.means.items():
        scale_mean(mean, differences, factors, builder)
    for use in group.exits:
        _multiply([use], 1.0 / factors, builder)
    for norm in group.norms.values():
        scale_norm(
            norm,
            factors,
            USUAL * median,
            builder,
            ranges,
            measured=measured,
            of_usual=group.of_usual,
        )
    names = {value: str(value.name) for value in group.values}
    for value, name in names.items():
        value.name = f"{name}{NAME}"
    for value in group.outputs:
        _return_unscaled(value, names[value], factors, builder)
    return ScaledStream(tuple(group.values), factors, peak)


def _return_unscaled(value: ir.Value, name: str, factors: Floats, builder: FloatBuilder) -> None:
    """Let the model return a tensor, under its name, as it was before it was scaled."""
    builder.before = None
    result = builder.op("Mul", [value, np.asarray(1.0 / factors, np.float32)])
    result.name = name
    outputs = builder.graph.outputs
    outputs[:] = [result if output is value else output for output in outputs]


def _weights(layer: Weighted, written: Floats | None, read: Floats | None) -> FloatArray:
    """Weights for factors of what a node computes, and of what it reads."""
    array = array_of(layer.node.inputs[1])  # as it is by now: its other side may be scaled
    assert array is not None
    weights = array.astype(np.float64)
    if written is not None:
        weights = weights * written
    if read is not None:
        weights = weights / (read if layer.depthwise else read[:, None])
    return np.ascontiguousarray(weights, np.float32)


def _multiply(uses: Iterable[Use], factors: Floats, builder: FloatBuilder) -> None:
    """Multiply inputs of nodes, each tensor once."""
    row = np.asarray(factors, np.float32)
    replace_each(uses, builder, lambda value: builder.op("Mul", [value, row]))
