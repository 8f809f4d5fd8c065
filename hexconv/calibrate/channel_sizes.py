"""How large each channel of a convolution's result is, as its weights tell.

Mean and standard deviation pass through the layers as if inputs were independent of each other;
a Relu clips them as it clips a normal distribution (Nagel et al. 2019, arXiv:1906.04721, appendix
C). Only the channels' sizes beside each other are used: how large a tensor is, is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import erf, pi, sqrt
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from hexconv.arrays import release_pages
from hexconv.calibrate.channel_groups import CHANNELWISE, MOVES, POOLS, Floats, Weighted, weighted
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, shape_of
from hexconv.quantize import Bounds

REACH = 3.5
"""Standard deviations from the mean to the largest value."""
LEAST = 0.25
"""Of a channel's standard deviation that a Relu leaves, however negative its mean is."""

_erf = np.vectorize(erf, otypes=[np.float64])


class Moments(NamedTuple):
    """Mean and standard deviation of each channel, (channels,)."""

    mean: Floats
    deviation: Floats

    @property
    def peak(self) -> Floats:
        """The largest absolute value of each channel."""
        return np.asarray(np.abs(self.mean) + REACH * self.deviation)

    @property
    def power(self) -> Floats:
        """The mean square of each channel."""
        return np.asarray(self.mean**2 + self.deviation**2)

    def over(self, peak: float) -> Moments:
        """The same, with a given largest value of all channels."""
        factor = peak / max(float(self.peak.max()), 1e-30)
        return Moments(self.mean * factor, self.deviation * factor)


def channel_sizes(graph: FloatGraph, observed: Mapping[str, Bounds]) -> dict[ir.Value, Moments]:
    """The moments of tensors whose channels are known apart, as large as calibration saw them."""
    found: dict[ir.Value, Moments] = {}
    for node in graph.nodes:
        layer = weighted(node)
        moments = _through(node, found) if layer is None else _computed(layer, found, observed)
        bounds = observed.get(str(node.outputs[0].name))
        if moments is not None and bounds is not None:
            found[node.outputs[0]] = moments.over(max(-bounds[0], bounds[1]))
    return found


def _computed(
    layer: Weighted, found: Mapping[ir.Value, Moments], observed: Mapping[str, Bounds]
) -> Moments | None:
    """What weights make of what they read; of which nothing is known: channels of one size."""
    source = found.get(layer.source)
    if source is None or source.mean.size != layer.inputs:
        low, high = observed.get(str(layer.source.name), (-1.0, 1.0))
        size = max(-low, high) / REACH
        source = Moments(np.zeros(layer.inputs), np.full(layer.inputs, size))
    mean, variance = source.mean, source.deviation**2
    inputs = "o" if layer.depthwise else "i"
    total = np.einsum(f"oit,{inputs}->o", layer.weights, mean)
    spread = np.einsum(f"oit,oit,{inputs}->o", layer.weights, layer.weights, variance)
    release_pages(layer.weights)
    bias = layer.bias
    return Moments(total if bias is None else total + bias, np.sqrt(spread))


def _through(node: ir.Node, found: Mapping[ir.Value, Moments]) -> Moments | None:
    """What a node that works on each channel by itself makes of its inputs."""
    known = [found[value] for value in node.inputs if value is not None and value in found]
    if node.domain or not known:
        return None
    if node.op_type in CHANNELWISE | POOLS | MOVES:
        return _rectified(known[0]) if node.op_type == "Relu" else known[0]
    if node.op_type != "Add":
        return None
    arrays = [array for value in node.inputs if (array := array_of(value)) is not None]
    if len(known) + len(arrays) != len(node.inputs) or len({m.mean.size for m in known}) > 1:
        return None  # of a Conv and of a MatMul, say, whose channels are on different axes
    mean = sum((item.mean for item in known), np.zeros(1))
    deviation = np.sqrt(sum((item.deviation**2 for item in known), np.zeros(1)))
    for array in arrays:
        if array.size != deviation.size or len(shape_of(node.outputs[0])) < array.ndim:
            return None
        mean = mean + array.reshape(-1)
    return Moments(mean, deviation)


def _rectified(moments: Moments) -> Moments:
    """max(x, 0) of a normal x."""
    deviation = np.maximum(moments.deviation, 1e-30)
    place = moments.mean / deviation
    density = np.exp(-0.5 * place**2) / sqrt(2.0 * pi)
    share = 0.5 * (1.0 + _erf(place / sqrt(2.0)))
    mean = moments.mean * share + deviation * density
    power = (moments.mean**2 + deviation**2) * share + moments.mean * deviation * density
    left = np.sqrt(np.maximum(power - mean**2, (LEAST * deviation) ** 2))
    return Moments(mean, left)
