"""Residual streams that norms read: tensors whose channels can be scaled together.

Some trained Transformers have a channel of one token a hundred times as large as all others (Sun
et al. 2024, arXiv:2402.17762). Its range leaves the others no levels. Weights on both sides, gammas
and betas take factors of channels, as in SmoothQuant (Xiao et al. 2023, arXiv:2211.10438). A norm
takes the scaled stream as well, if its mean and its mean square weigh the channels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.changes import Use
from hexconv.calibrate.channel_groups import Weighted, weighted
from hexconv.calibrate.unlike_rows import Norm, norm_of
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, shape_of


@dataclass(eq=False)
class StreamGroup:
    """Tensors, with their channels on the last axis, that are scaled together.

    Attributes:
        name: of what its first norm reads.
        channels: of each.
        values: the tensors.
        outputs: those of them that the model returns: as they were.
        writers: nodes with weights that compute one of them.
        readers: nodes with weights that read one of them.
        added: constants that are added to one of them.
        entries: where members are computed of tensors that nothing can scale where they are
            computed, as inputs of the model: these are multiplied.
        exits: inputs of nodes that need the tensor as it was.
        means: nodes that compute the mean of one of them, and those that subtract it.
        norms: that start from one of them.
        of_usual: whether the mean that they lack is that of the usual channels (usual_means.py):
            the mean of all is to be subtracted yet.
    """

    name: str
    channels: int
    values: dict[ir.Value, None] = field(default_factory=dict)
    outputs: dict[ir.Value, None] = field(default_factory=dict)
    writers: dict[ir.Node, Weighted] = field(default_factory=dict)
    readers: dict[ir.Node, Weighted] = field(default_factory=dict)
    added: dict[Use, None] = field(default_factory=dict)
    entries: dict[Use, None] = field(default_factory=dict)
    exits: dict[Use, None] = field(default_factory=dict)
    means: dict[ir.Node, list[ir.Node]] = field(default_factory=dict)
    norms: dict[ir.Node, Norm] = field(default_factory=dict)
    of_usual: bool = False


def stream_groups(graph: FloatGraph) -> list[StreamGroup]:
    """Every group that a norm over the last axis reads, in the order of the graph."""
    norms = {node: norm for node in graph.nodes if (norm := _over_channels(node)) is not None}
    layers = {node: found for node in graph.nodes if (found := _layer(node)) is not None}
    taken: set[ir.Node] = set()
    groups = []
    for node, norm in norms.items():
        if node in taken:
            continue
        group = StreamGroup(str(norm.source.name), shape_of(norm.source)[-1])
        walk = _Walk(layers, norms, group)
        walk.reach(norm.source)
        taken.update(group.norms)
        if group.writers:
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

    def reach(self, first: ir.Value) -> None:
        """Follow a tensor to all that are scaled with it."""
        pending = [first] if self._is_member(first) else [*self._entered(first)]
        while pending:
            value = pending.pop()
            if value not in self.group.values:
                self.group.values[value] = None
                if value.is_graph_output():
                    self.group.outputs[value] = None
                pending += [*self._written(value), *self._read(value)]

    def _is_member(self, value: ir.Value) -> bool:
        """Whether a tensor can be scaled where it is computed."""
        node = value.producer()
        if node is None or len(node.outputs) > 1:
            return False
        return node in self._layers or self._is_sum(node) or self._source(node) is not None

    def _written(self, value: ir.Value) -> Iterator[ir.Value]:
        """What the node that computes a member needs scaled."""
        node = value.producer()
        assert node is not None
        if node in self._layers:
            self.group.writers[node] = self._layers[node]
            return
        source = self._source(node)
        for position, item in enumerate(node.inputs):
            assert item is not None
            if source is not None and item is not source:
                continue  # the mean, or the factor of a norm
            if array_of(item) is not None:
                self.group.added[node, position] = None
            elif self._is_member(item) and shape_of(item) == shape_of(value):
                yield item
            else:
                self.group.entries[node, position] = None
                yield from () if self._is_member(item) else self._entered(item)

    def _entered(self, value: ir.Value) -> Iterator[ir.Value]:
        """The members that are computed of a tensor that is multiplied, if norms read it."""
        norms = dict.fromkeys(use.node for use in value.uses() if use.node in self._norms)
        for node in norms:
            self.group.norms[node] = self._norms[node]
            self.group.entries[node, 0] = None
        if norms:
            yield from self._computed(value)

    def _source(self, node: ir.Node) -> ir.Value | None:
        """The operand with the channels of a centering difference, or of a product of a norm."""
        mean = mean_of(node)
        if node not in self._products and (mean is None or not self._is_centered(mean)):
            return None
        return next(item for item in node.inputs if item is not None and self._is_wide(item))

    def _is_centered(self, mean: ir.Node) -> bool:
        """Whether a mean can weigh the channels: they are scaled where they are computed."""
        return mean.inputs[0] is not None and self._is_member(mean.inputs[0])

    def _is_wide(self, value: ir.Value) -> bool:
        shape = shape_of(value)
        return bool(shape) and shape[-1] == self.group.channels

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
        for node, position in value.uses():
            differences = _differences(node)
            if node in self._norms:
                self.group.norms[node] = self._norms[node]
            elif differences:
                self.group.means[node] = differences
                if _is_read_beside(node, differences):
                    self.group.exits[node, position] = None
            elif node in self._layers and position == 0:
                self.group.readers[node] = self._layers[node]
            elif not self._keeps_channels(node, value):
                self.group.exits[node, position] = None
        yield from self._computed(value)

    def _computed(self, value: ir.Value) -> Iterator[ir.Value]:
        """The sums, differences and products of norms that have the channels of a tensor."""
        users = [use.node for use in value.uses()]
        return (user.outputs[0] for user in users if self._keeps_channels(user, value))

    def _keeps_channels(self, node: ir.Node, value: ir.Value) -> bool:
        joins = self._is_sum(node) and shape_of(node.outputs[0]) == shape_of(value)
        return self._source(node) is value or joins


def _differences(node: ir.Node) -> list[ir.Node]:
    """The nodes that subtract a mean from what it is the mean of, if a node is such a mean."""
    if node.op_type != "ReduceMean" or node.domain or not reduces_last_axis(node):
        return []
    users = dict.fromkeys(use.node for use in node.outputs[0].uses())
    return [user for user in users if mean_of(user) is node]


def _is_read_beside(mean: ir.Node, differences: Collection[ir.Node]) -> bool:
    """Whether more is read of a mean than in differences."""
    readers = {use.node for use in mean.outputs[0].uses()}
    return mean.outputs[0].is_graph_output() or not readers <= set(differences)


def mean_of(node: ir.Node) -> ir.Node | None:
    """The mean that a node subtracts from its other operand, over the last axis."""
    if node.op_type != "Sub" or node.domain or node.inputs[1] is None:
        return None
    mean = node.inputs[1].producer()
    if mean is None or mean.op_type != "ReduceMean" or not reduces_last_axis(mean):
        return None
    return mean if mean.inputs[0] is node.inputs[0] else None
