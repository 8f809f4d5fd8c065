"""Channels of unlike sizes in one tensor brought together: its levels are for all of them.

A tensor has one range. Where one of its channels is 100 times smaller than another, 2 of 255
levels are left for it. Weights have a scale for each output channel, so what a layer computes can
be scaled by channel at no cost, and the layer behind it divides its weights by the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.changes import change_each
from hexconv.calibrate.channel_groups import (
    ChannelGroup,
    Floats,
    Weighted,
    channel_groups,
    weighted,
)
from hexconv.calibrate.channel_sizes import Moments, channel_sizes
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.quantize import Bounds
from hexconv.quantize.ranges import LEVELS

WORTH = 0.6
"""Share of the noise that has to be left at most: a gain of 2.2 dB."""
STRENGTHS = (1.0, 0.75, 0.5)
"""How far activations are brought together; the rest of it the weights that read them."""
MOST = 32.0
"""By how much a channel is scaled up or down: the library has weight scales from 1/1024 on."""
NAME = "/equalized"


@dataclass(frozen=True, eq=False)
class Plan:
    """Factors of a group's channels.

    Attributes:
        group: whose.
        factors: (channels,) float64.
        sizes: of each of the group's tensors, before.
    """

    group: ChannelGroup
    factors: Floats
    sizes: Mapping[ir.Value, Moments]

    def noise(self, peaks: Mapping[ir.Value, float], factors: Floats) -> float:
        """Noise of all readers' results over their signal, as a sum.

        Args:
            peaks: width of the range of each tensor, with these factors.
            factors: of the channels.
        """
        total = 0.0
        for reader in self.group.readers:
            gain = _gain(reader)
            power = self.sizes[reader.source].power
            step = peaks[reader.source] / LEVELS
            rounding = step**2 / 12.0 * float((gain / factors**2).sum())
            rounding += float((gain / factors**2 * self._written(factors)).sum())
            weights = _weight_noise(reader, power * factors**2, factors)
            total += (rounding + weights) / max(float((gain * power).sum()), 1e-30)
        return total

    def _written(self, factors: Floats) -> Floats:
        """Noise of each channel by weights of the writers that have one scale for all."""
        noise = np.zeros(factors.size)
        for writer in self.group.writers:
            if not writer.one_scale:
                continue
            largest = np.abs(writer.weights).max(axis=(1, 2))
            step = float((largest * factors).max()) / (LEVELS / 2)
            signal = self.sizes[writer.node.outputs[0]].deviation ** 2
            energy = np.maximum((writer.weights**2).sum(axis=(1, 2)), 1e-30)
            noise += step**2 / 12.0 * signal / energy * writer.weights[0].size
        return noise


def _gain(reader: Weighted) -> Floats:
    """Power of a reader's result for noise of power 1 in each channel that it reads."""
    channels = "o" if reader.depthwise else "i"
    squares = np.einsum(f"oit,oit->{channels}", reader.weights, reader.weights, dtype=np.float64)
    return np.asarray(squares, np.float64)


def _weight_noise(reader: Weighted, power: Floats, factors: Floats) -> float:
    """Noise by the rounding of weights that are divided by the factors."""
    if reader.depthwise:
        return 0.0  # each has a scale of its own
    taps = int(reader.weights.shape[2])
    scaled = np.abs(reader.weights).max(axis=2) / factors
    largest = np.full(len(scaled), scaled.max()) if reader.one_scale else scaled.max(axis=1)
    steps = largest / (LEVELS / 2)
    noise = float((steps**2).sum()) / 12.0
    return noise * taps * float(power.sum())


def equalize(graph: FloatGraph, observed: Mapping[str, Bounds], *, measured: bool = False) -> int:
    """Scale channels of unlike sizes, where the noise behind them falls by 2.2 dB and more.

    Args:
        graph: changed in place; scaled tensors have new names.
        observed: (min, max) of each value.
        measured: leave groups alone whose new tensors are not in `observed`, or are so much wider
            than expected that the gain is lost. Otherwise every promising group is scaled.

    Returns:
        How many groups were scaled.
    """
    groups = channel_groups(graph) if not graph.ranges else []
    sizes = channel_sizes(graph, observed) if groups else {}
    plans = [plan for group in groups if (plan := _plan(group, sizes, observed)) is not None]
    if measured:
        plans = [plan for plan in plans if _holds(plan, observed)]
    return change_each(graph, plans, _scale)


def _plan(
    group: ChannelGroup, sizes: Mapping[ir.Value, Moments], observed: Mapping[str, Bounds]
) -> Plan | None:
    """The best factors, if they are expected to help."""
    known = {value: sizes[value] for value in group.axes if value in sizes}
    if len(known) != len(group.axes):
        return None
    before = {value: _width(observed[str(value.name)]) for value in known}
    if not all(before.values()):
        return None
    plain = Plan(group, np.ones(group.channels), known)
    found, least = plain, WORTH * plain.noise(before, plain.factors)
    for strength in STRENGTHS:
        factors = _factors(group, known, strength)
        after = {v: before[v] * _growth(known[v].peak, factors) for v in known}
        noise = plain.noise(after, factors)
        if noise < least:
            found, least = Plan(group, factors, known), noise
    return None if found is plain else found


def _width(bounds: Bounds) -> float:
    return max(bounds[1], 0.0) - min(bounds[0], 0.0)


def _growth(peaks: Floats, factors: Floats) -> float:
    return float((peaks * factors).max() / max(float(peaks.max()), 1e-30))


def _factors(group: ChannelGroup, sizes: Mapping[ir.Value, Moments], strength: float) -> Floats:
    """w^(1 - s) / x^s of the channels' weights w and peaks x, around 1."""
    peaks = np.max([_of_one(sizes[reader.source].peak) for reader in group.readers], axis=0)
    read = np.max([_of_one(_columns(reader)) for reader in group.readers], axis=0)
    logs = (1.0 - strength) * np.log(np.maximum(read, 1e-6))
    logs -= strength * np.log(np.maximum(peaks, 1e-6))
    middle = 0.5 * (logs.max() + logs.min())
    return np.asarray(np.exp(np.clip(logs - middle, -np.log(MOST), np.log(MOST))))


def _of_one(values: Floats) -> Floats:
    return np.asarray(values / max(float(values.max()), 1e-30))


def _columns(reader: Weighted) -> Floats:
    """The largest weight of each channel that is read, beside the largest of its output."""
    largest = np.abs(reader.weights).max(axis=2)
    if reader.depthwise:
        return np.ones(largest.shape[0])
    return np.asarray((largest / np.maximum(largest.max(axis=1, keepdims=True), 1e-30)).max(axis=0))


def _holds(plan: Plan, observed: Mapping[str, Bounds]) -> bool:
    """Whether the gain is there with the ranges that calibration measured."""
    before = {value: _width(observed[str(value.name)]) for value in plan.sizes}
    after = {}
    for value in plan.sizes:
        bounds = observed.get(f"{value.name}{NAME}")
        if bounds is None:
            return False
        after[value] = _width(bounds)
    ones = np.ones(plan.factors.size)
    return plan.noise(after, plan.factors) < WORTH * plan.noise(before, ones)


def _scale(plan: Plan, builder: FloatBuilder) -> None:
    group, factors = plan.group, plan.factors
    writers, readers = ({layer.node for layer in side} for side in (group.writers, group.readers))
    for node in dict.fromkeys(layer.node for layer in (*group.writers, *group.readers)):
        layer = weighted(node)  # other groups may have scaled its other side
        assert layer is not None
        written, read = (factors if node in side else None for side in (writers, readers))
        builder.change_const(node, 1, layer.scaled(written, read), NAME)
        if written is not None and layer.bias is not None:
            builder.change_const(node, 2, np.asarray(layer.bias * written, np.float32), NAME)
    for node, position, axis in group.added:
        array = array_of(node.inputs[position])
        assert array is not None
        shape = [factors.size if at == axis else 1 for at in range(array.ndim)]
        builder.change_const(
            node, position, np.asarray(array * factors.reshape(shape), np.float32), NAME
        )
    for value in group.axes:
        value.name = f"{value.name}{NAME}"
