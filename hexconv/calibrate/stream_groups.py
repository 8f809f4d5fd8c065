"""Residual streams that norms read: tensors whose channels can be scaled together.

Some trained Transformers have a channel of one token a hundred times as large as all others (Sun
et al. 2024, arXiv:2402.17762). Its range leaves the others no levels. Weights on both sides, gammas
and betas take factors of channels, as in SmoothQuant (Xiao et al. 2023, arXiv:2211.10438). A norm
takes the scaled stream as well, if its mean and its mean square weigh the channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.channel_groups import Weighted, weighted
from hexconv.calibrate.unlike_rows import Norm, norm_of
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, shape_of

Use = tuple[ir.Node, int]


@dataclass(eq=False)
class StreamGroup:
    """Tensors, with their channels on the last axis, that are scaled together.

    Attributes:
        channels: of each.
        values: the tensors.
        writers: nodes with weights that compute one of them.
        readers: nodes with weights that read one of them.
        added: constants that are added to one of them.
        entries: inputs of sums that nothing can scale: they are multiplied.
        exits: inputs of nodes that need the tensor as it was.
        means: nodes that compute the mean of one of them, and those that subtract it.
        norms: that start from one of them.
    """

    channels: int
    values: dict[ir.Value, None] = field(default_factory=dict)
    writers: dict[ir.Node, Weighted] = field(default_factory=dict)
    readers: dict[ir.Node, Weighted] = field(default_factory=dict)
    added: dict[Use, None] = field(default_factory=dict)
    entries: dict[Use, None] = field(default_factory=dict)
    exits: dict[Use, None] = field(default_factory=dict)
    means: dict[ir.Node, list[ir.Node]] = field(default_factory=dict)
    norms: dict[ir.Node, Norm] = field(default_factory=dict)


def stream_groups(graph: FloatGraph) -> list[StreamGroup]:
    """Every group that a norm over the last axis reads, in the order of the graph."""
    norms = {node: norm for node in graph.nodes if (norm := _over_channels(node)) is not None}
    layers = {node: found for node in graph.nodes if (found := _layer(node)) is not None}
    outputs = set(graph.graph.outputs)
    taken: set[ir.Value] = set()
    groups = []
    for norm in norms.values():
        if norm.source in taken:
            continue
        walk = _Walk(layers, norms, StreamGroup(shape_of(norm.source)[-1]))
        walk.reach(norm.source)
        group = walk.group
        taken.update(group.values)
        if walk.scalable and group.writers and not outputs & group.values.keys():
            groups.append(group)
    return groups


def _over_channels(node: ir.Node) -> Norm | None:
    """The norm that starts with a square, if it is one over the last axis."""
    norm = norm_of(node)
    if norm is None or not reduces_last_axis(norm.reduced):
        return None
    return norm


def reduces_last_axis(node: ir.Node) -> bool:
    """Whether a Reduce node reduces the last axis, and keeps it with size 1."""
    axes = array_of(node.inputs[1]) if len(node.inputs) > 1 else None
    rank = len(shape_of(node.inputs[0]))
    keeps = node.attributes.get_int("keepdims", 1)
    return bool(keeps) and axes is not None and [int(axis) % rank for axis in axes] == [rank - 1]


def _layer(node: ir.Node) -> Weighted | None:
    """A MatMul with constant weights, or a product with a gamma: each output reads one input."""
    if node.op_type == "MatMul":
        return weighted(node)
    if node.op_type != "Mul" or node.domain or array_of(node.inputs[0]) is not None:
        return None
    array, shape = array_of(node.inputs[1]), shape_of(node.outputs[0])
    if array is None or array.dtype != np.float32 or not array.ndim or not shape:
        return None
    if array.size != shape[-1] or array.shape[-1] != shape[-1] or array.size == 1:
        return None
    return Weighted(node, array.reshape(-1, 1, 1), True, len(shape) - 1)


class _Walk:
    """Reaches every tensor that has to be scaled with one."""

    def __init__(
        self, layers: Mapping[ir.Node, Weighted], norms: Mapping[ir.Node, Norm], group: StreamGroup
    ) -> None:
        self._layers, self._norms, self.group = layers, norms, group
        self._products = {node for norm in norms.values() for node in norm.products}
        self.scalable = True

    def reach(self, first: ir.Value) -> None:
        """Follow a tensor to all that are scaled with it."""
        pending = [first]
        while pending:
            value = pending.pop()
            if value not in self.group.values:
                self.group.values[value] = None
                pending += [*self._written(value), *self._read(value)]

    def _written(self, value: ir.Value) -> Iterator[ir.Value]:
        """What the node that computes a member needs scaled."""
        node = value.producer()
        if node is None:
            self.scalable = False
            return
        layer = self._layers.get(node)
        if layer is not None:
            self.group.writers[node] = layer
        elif (source := self._source(node)) is not None:
            yield source
        elif not self._is_sum(node):
            self.scalable = False
        else:
            for position, item in enumerate(node.inputs):
                assert item is not None
                if array_of(item) is not None:
                    self.group.added[node, position] = None
                elif self._joins(item, value):
                    yield item
                else:
                    self.group.entries[node, position] = None

    def _source(self, node: ir.Node) -> ir.Value | None:
        """The operand with the channels of a centering difference, or of a product of a norm."""
        if _mean_of(node) is None and node not in self._products:
            return None
        return next(item for item in node.inputs if item is not None and self._is_wide(item))

    def _is_wide(self, value: ir.Value) -> bool:
        shape = shape_of(value)
        return bool(shape) and shape[-1] == self.group.channels

    def _joins(self, value: ir.Value, result: ir.Value) -> bool:
        """Whether a tensor can be scaled where it is computed."""
        if shape_of(value) != shape_of(result):
            return False
        while (node := value.producer()) is not None and len(node.outputs) == 1:
            source = self._source(node)
            if source is None:
                return node in self._layers or self._is_sum(node)
            value = source
        return False

    def _is_sum(self, node: ir.Node) -> bool:
        """Add or Sub of tensors; of constants there is at most one."""
        if node.domain or node.op_type not in ("Add", "Sub"):
            return False
        arrays = [array_of(item) for item in node.inputs]
        wide = all(item is not None and self._is_wide(item) for item in node.inputs)
        floats = all(array is None or array.dtype == np.float32 for array in arrays)
        return wide and floats and any(array is None for array in arrays)

    def _read(self, value: ir.Value) -> Iterator[ir.Value]:
        """The members that are computed of a member."""
        for use in value.uses():
            node, position = use.node, use.idx
            differences = _differences(node)
            if node in self._norms:
                self.group.norms[node] = self._norms[node]
            elif differences:
                self.group.means[node] = differences
            elif node in self._layers and position == 0:
                self.group.readers[node] = self._layers[node]
            elif self._source(node) is value or (
                self._is_sum(node) and shape_of(node.outputs[0]) == shape_of(value)
            ):
                yield node.outputs[0]
            else:
                self.group.exits[node, position] = None


def _differences(node: ir.Node) -> list[ir.Node]:
    """The nodes that subtract a mean from what it is the mean of, if a node is such a mean."""
    if node.op_type != "ReduceMean" or node.domain or not reduces_last_axis(node):
        return []
    users = [use.node for use in node.outputs[0].uses()]
    if any(_mean_of(user) is not node for user in users) or node.outputs[0].is_graph_output():
        return []
    return users


def _mean_of(node: ir.Node) -> ir.Node | None:
    """The mean that a node subtracts from its other operand, over the last axis."""
    if node.op_type != "Sub" or node.domain or node.inputs[1] is None:
        return None
    mean = node.inputs[1].producer()
    if mean is None or mean.op_type != "ReduceMean" or not reduces_last_axis(mean):
        return None
    return mean if mean.inputs[0] is node.inputs[0] else None
