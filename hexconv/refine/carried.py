"""Constants that were changed of a model, in the same one with its outputs in slices.

Slices repeat the weights of the layer that computes an output, and its biases but for where each
slice starts. All other layers are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.graph import Const, Graph, Node
from hexconv.nnlib.ops import spec

WEIGHTS = 1
"""The position of a layer's weights, which have its outputs on their last axis."""
RANGES = ("w_min", "w_max", "bias_min", "bias_max")


@dataclass(frozen=True)
class _Layer:
    """What a convolution or Linear multiplies with and adds.

    Attributes:
        weights: its outputs on the last axis.
        bias: of each output.
        ranges: (4,), in which both are quantized.
    """

    weights: Const
    bias: Const
    ranges: Array

    def times(self, other: _Layer) -> int:
        """How often another layer repeats this one; 0 if it does not."""
        count = other.weights.array.shape[-1] // self.weights.array.shape[-1]
        same = np.array_equal(self.ranges, other.ranges) and np.array_equal(
            np.tile(self.weights.array, count), other.weights.array
        )
        return count if same else 0


def carried(graph: Graph, before: Graph, after: Graph) -> Graph:
    """A graph with what was changed of the constants of another one.

    Args:
        graph: with outputs in slices; it takes the changes.
        before: without, with the names that the graph's other constants have.
        after: the same with changed constants.
    """
    old = {const.name: const for const in before.consts}
    new = {const.name: const.array for const in after.consts}
    found = {
        const.id: new[const.name]
        for const in graph.consts
        if const.name in new and _same(const.array, old[const.name].array)
    }
    others = [layer for layer in _layers(graph) if layer.weights.id not in found]
    for layer, other in product(_layers(before), others):
        count = layer.times(other)
        if count > 1:
            moved = new[layer.bias.name] - layer.bias.array
            found[other.weights.id] = np.tile(new[layer.weights.name], count)
            found[other.bias.id] = other.bias.array + np.tile(moved, count)
    consts = [replace(c, array=found[c.id]) if c.id in found else c for c in graph.consts]
    return replace(graph, consts=consts)


def _layers(graph: Graph) -> Iterator[_Layer]:
    consts = graph.const_by_id()
    for node in graph.nodes:
        layer = _layer(node, consts)
        if layer is not None:
            yield layer


def _layer(node: Node, consts: dict[int, Const]) -> _Layer | None:
    operands, count = spec(node.op), len(node.inputs)
    places = [operands.position(role, count) for role in ("bias", *RANGES)]
    if None in places:
        return None
    bias, *ranges = (consts.get(node.inputs[place or 0].node) for place in places)
    weights = consts.get(node.inputs[WEIGHTS].node)
    if weights is None or bias is None or any(item is None for item in ranges):
        return None
    ends = [float(item.array.flat[0]) for item in ranges if item is not None]
    return _Layer(weights, bias, np.asarray(ends, np.float32))


def _same(array: Array, other: Array) -> bool:
    return array.dtype == other.dtype and np.array_equal(array, other)
