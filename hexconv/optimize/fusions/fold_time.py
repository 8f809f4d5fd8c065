"""1-D convolutions with few channels: several time steps become channels.

d32 rounds channels up to 32, so that a vocoder's last convolution (32 to 1 channels) fills one lane
of 32. With f steps in the channels, [C,T] as [f*C, T/f], the same product is dense. In memory
nothing moves: time then channel is (T/f, f, C) either way.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.annotations import transfer_notes
from hexconv.arrays import FloatArray as Array
from hexconv.nnlib.layout import Shape4
from hexconv.onnx_graph import FloatGraph, NodeView
from hexconv.onnx_graph.builder import array_of, shape_of
from hexconv.optimize.fusions.edit import Inserter, remove
from hexconv.optimize.on_nnlib.dilated_by_phases import Sizes, cheapest
from hexconv.optimize.price import Prices
from hexconv.optimize.registry import Stage, declined, rewrite
from hexconv.quantize import Bounds

FACTORS = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Signal:
    """A convolution that keeps the length: weights (O, C, k), padding before, dilation."""

    weights: Array
    before: int
    dilation: int
    length: int

    def taps(self, factor: int) -> tuple[int, int]:
        """First and last folded tap, counted from the current step."""
        reach = (self.weights.shape[2] - 1) * self.dilation
        return -self.before // factor, (factor - 1 + reach - self.before) // factor

    def price(self, factor: int, prices: Prices) -> float:
        """Of the convolution alone."""
        outputs, inputs, width = (int(size) for size in self.weights.shape)
        if factor == 1:
            plain: Shape4 = (1, 1, self.length, inputs)
            return cheapest(Sizes(plain, (1, width), outputs, (1, self.dilation)), prices)[0]
        first, last = self.taps(factor)
        folded: Shape4 = (1, 1, self.length // factor, factor * inputs)
        return cheapest(Sizes(folded, (1, last - first + 1), factor * outputs), prices)[0]

    def gain(self, factor: int, prices: Prices) -> float:
        """The packets that a factor saves."""
        return self.price(1, prices) - self.price(factor, prices)

    def moves(self, factor: int, prices: Prices) -> float:
        """The cost of the conversion to the folded shape."""
        channels = int(self.weights.shape[1])
        plain: Shape4 = (1, 1, self.length, channels)
        folded: Shape4 = (1, 1, self.length // factor, factor * channels)
        return prices.reshape(plain, folded)

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


@rewrite(Stage.FUSION, priced=True)
def fold_time(graph: FloatGraph, observed: MutableMapping[str, Bounds], prices: Prices) -> int:
    """A 1-D convolution with few channels computes several steps at once: its lanes are filled."""
    planned = plan(graph, prices)
    for node, (signal, factor) in planned.items():
        _fold(node, signal, factor, graph, observed)
    return len(planned)


def plan(graph: FloatGraph, prices: Prices) -> dict[ir.Node, tuple[Signal, int]]:
    """The convolutions to fold, each with its factor."""
    alike: dict[tuple[int, int], list[tuple[ir.Node, Signal]]] = {}
    for node in graph.nodes:
        signal = _signal(node)
        if signal is not None:
            sizes = int(signal.weights.shape[1]), signal.length
            alike.setdefault(sizes, []).append((node, signal))
    found: dict[ir.Node, tuple[Signal, int]] = {}
    for members in alike.values():
        factor, worth = best([signal for _, signal in members], prices)
        pairs = zip(members, worth, strict=True)
        for (node, signal), folds in pairs:
            if folds:
                found[node] = (signal, factor)
            else:
                declined("fold_time", node.name, "no number of steps at once is cheaper")
    return found


def best(signals: Sequence[Signal], prices: Prices) -> tuple[int, list[bool]]:
    """The factor for convolutions of signals of one size, and which of them are folded.

    All are, or those for which it is worthwhile alone: where all are folded the reshapes between
    them cancel, and only one conversion is paid.
    """
    found = 0.0, 1, [False] * len(signals)
    for factor in (f for f in FACTORS if signals[0].length % f == 0):
        gains = [signal.gain(factor, prices) for signal in signals]
        moves = signals[0].moves(factor, prices)
        alone = sum(max(gain - moves, 0.0) for gain in gains)
        options = [
            (sum(gains) - moves, factor, [True] * len(signals)),
            (alone, factor, [gain > moves for gain in gains]),
        ]
        found = max(found, *options, key=lambda option: option[0])
    return found[1:]


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
    transfer_notes(node, made)
    last_value = put.unfolded(wide, (batch, factor, outputs, steps), (0, 2, 3, 1), result)
    ir.convenience.replace_all_uses_with(result, last_value, replace_graph_outputs=True)
    result.name, last_value.name = f"{name}/replaced", name
    remove(node)
