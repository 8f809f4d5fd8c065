"""1-D convolutions with few channels: several time steps side by side in the channels.

d32 rounds channels up to 32, so that a vocoder's last convolution (32 to 1 channels) fills one lane
of 32. With f steps in the channels, [C,T] as [f*C, T/f], the same product is dense. In memory
nothing moves: time then channel is (T/f, f, C) either way.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph, NodeView
from hexconv.onnx_graph.build import array_of, shape_of
from hexconv.optimize.fusions.edit import Inserter, remove
from hexconv.optimize.registry import Bounds, Stage, rewrite

Array = npt.NDArray[np.float32]
FACTORS = (2, 4, 8, 16, 32)
# Measured with `hexconv device profile` on the v60 library: packets a padded multiply-accumulate
# of 1-D convolutions, packets an element that a conversion to the folded shape costs, packets an
# element of SpaceToBatch and BatchToSpace around a dilated one.
PER_MAC, PER_MOVE, PER_DILATED = 0.0065, 0.15, 0.47
WORTH = 0.85
"""Fold only what gets at least this much cheaper."""


@dataclass(frozen=True)
class Signal:
    """A convolution that keeps the length: weights (O, C, k), padding before, dilation."""

    weights: Array
    before: int
    dilation: int
    length: int

    def taps(self, factor: int) -> tuple[int, int]:
        """First and last folded tap, counted from the step at hand."""
        reach = (self.weights.shape[2] - 1) * self.dilation
        return -self.before // factor, (factor - 1 + reach - self.before) // factor

    def packets(self, factor: int) -> float:
        """Predicted packets for the whole signal."""
        outputs, inputs, width = (int(size) for size in self.weights.shape)
        if factor == 1:
            extra = PER_DILATED * _lanes(inputs) if self.dilation > 1 else 0.0
            macs = width * _lanes(inputs) * _lanes(outputs)
            return self.length * (PER_MAC * macs + extra)
        first, last = self.taps(factor)
        macs = (last - first + 1) * _lanes(factor * inputs) * _lanes(factor * outputs)
        return self.length * (PER_MAC * macs / factor + PER_MOVE * _lanes(inputs))

    def best(self) -> int:
        """The cheapest factor; 1 if none is worth it."""
        plain = self.packets(1)
        options = [f for f in FACTORS if self.length % f == 0]
        if not options:
            return 1
        factor = min(options, key=self.packets)
        return factor if self.packets(factor) < WORTH * plain else 1

    def folded(self, factor: int) -> Array:
        """The kernel (f*O, f*C, taps): output phase q of step t reads input phase r of t + tap."""
        outputs, inputs, width = self.weights.shape
        first, last = self.taps(factor)
        kernel = np.zeros((factor, outputs, factor, inputs, last - first + 1), np.float32)
        for phase in range(factor):
            for tap in range(width):
                at = phase + tap * self.dilation - self.before
                kernel[phase, :, at % factor, :, at // factor - first] = self.weights[:, :, tap]
        return kernel.reshape(factor * outputs, factor * inputs, last - first + 1)


@rewrite(Stage.FUSION)
def fold_time(graph: FloatGraph, observed: MutableMapping[str, Bounds]) -> int:
    """A 1-D convolution with few channels takes several steps at once: its lanes are filled."""
    count = 0
    for node in graph.nodes:
        signal = _signal(node)
        factor = signal.best() if signal is not None else 1
        if signal is not None and factor > 1:
            _fold(node, signal, factor, graph, observed)
            count += 1
    return count


def _lanes(channels: int) -> int:
    return -(-channels // 32) * 32


def _signal(node: ir.Node) -> Signal | None:
    if node.op_type != "Conv" or node.domain:
        return None
    weights = array_of(node.inputs[1])
    if weights is None or weights.ndim != 3 or len(shape_of(node.outputs[0])) != 3:
        return None
    view = NodeView(node)
    length = shape_of(node.inputs[0])[2]
    plain = (
        list(view.attr("strides", [1])) == [1]
        and int(view.attr("group", 1)) == 1
        and str(view.attr("auto_pad", "NOTSET")) == "NOTSET"
        and shape_of(node.outputs[0])[2] == length
        and (len(node.inputs) < 3 or node.inputs[2] is None or array_of(node.inputs[2]) is not None)
    )
    if not plain:
        return None
    pads, dilations = list(view.attr("pads", [0, 0])), list(view.attr("dilations", [1]))
    return Signal(np.asarray(weights, np.float32), int(pads[0]), int(dilations[0]), length)


def _fold(
    node: ir.Node,
    signal: Signal,
    factor: int,
    graph: FloatGraph,
    observed: MutableMapping[str, Bounds],
) -> None:
    source, result = node.inputs[0], node.outputs[0]
    assert source is not None
    name = str(result.name)
    batch, inputs, length = shape_of(source)
    outputs = signal.weights.shape[0]
    steps = length // factor
    first, last = signal.taps(factor)
    put = Inserter(graph, node, observed)
    kernel = put.const(f"{name}/folded", signal.folded(factor))
    operands: list[ir.Value | None] = [
        put.folded(source, (batch, inputs, steps, factor), (0, 3, 1, 2), factor * inputs),
        kernel,
    ]
    bias = array_of(node.inputs[2]) if len(node.inputs) > 2 else None
    if bias is not None:
        operands.append(put.const(f"{name}/folded_bias", np.tile(bias, factor)))
    pads = [-first, last]
    wide = put.node("Conv", operands, (batch, factor * outputs, steps), name, {"pads": pads})
    made = wide.producer()
    assert made is not None
    made.meta.update(node.meta)
    last_value = put.unfolded(wide, (batch, factor, outputs, steps), (0, 2, 3, 1), result)
    ir.convenience.replace_all_uses_with(result, last_value, replace_graph_outputs=True)
    result.name, last_value.name = f"{name}/replaced", name
    remove(node)

