"""Tensors whose channels can be scaled together, since only weights write and read them.

Relu(c x) is c Relu(x) for c > 0, and so for everything else here that works on each channel by
itself. So what a convolution computes may be multiplied by c, channel by channel, and what the
next one reads divided by it, without any change of the function (Nagel et al. 2019,
arXiv:1906.04721, section 4.1). A group is all tensors that have to be scaled alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.arrays import FloatArray
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, shape_of

Floats = npt.NDArray[np.float64]

CHANNELWISE = frozenset(("Relu", "LeakyRelu", "PRelu", "Identity", "Dropout"))
"""Functions f of each element for which f(c x) = c f(x), c > 0."""
SHORT_DEPTH = 4
"""Input channels up to which a convolution's weights have one scale (lowering/conv_emitter)."""
LARGEST = 2**23
"""Weights of a layer that is looked at: copies of a larger one would take too much memory."""
POOLS = frozenset(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"))


MOVES = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"))
"""Ops behind which channels may be another axis."""


def _moved(node: ir.Node, axis: int, *, backward: bool) -> int | None:
    """The axis of a node's result that is `axis` of what it reads, or back; None if none is."""
    read, made = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if node.op_type == "Transpose":
        perm = node.attributes.get("perm")
        order = list(reversed(range(len(read)))) if perm is None else list(perm.as_ints())
        return order[axis] if backward else order.index(axis)
    known, wanted = (made, read) if backward else (read, made)
    for at, size in enumerate(wanted):
        if size == known[axis] and prod(wanted[:at]) == prod(known[:axis]):
            return at
    return None


@dataclass(frozen=True, eq=False)
class Weighted:
    """A Conv, ConvTranspose or MatMul with constant weights, seen as (outputs, inputs, taps).

    Attributes:
        node: itself.
        weights: a view, float32; of a depthwise convolution the axis of inputs has size 1.
        depthwise: each output reads one input: that of its number.
        axis: the channels' axis of what it reads and computes.
    """

    node: ir.Node
    weights: FloatArray
    depthwise: bool
    axis: int

    @property
    def source(self) -> ir.Value:
        """What it reads."""
        value = self.node.inputs[0]
        assert value is not None
        return value

    @property
    def inputs(self) -> int:
        """Channels of what it reads."""
        return int(self.weights.shape[0 if self.depthwise else 1])

    @property
    def one_scale(self) -> bool:
        """Whether all its weights may get one scale: few inputs, or a product of a single row."""
        single = self.node.op_type == "MatMul" and prod(shape_of(self.source)[:-1]) == 1
        return single or (not self.depthwise and self.inputs <= SHORT_DEPTH)

    @property
    def bias(self) -> Floats | None:
        """Its own bias (outputs,), if it has one."""
        array = array_of(self.node.inputs[2]) if len(self.node.inputs) > 2 else None
        return None if array is None else np.asarray(array, np.float64)

    def scaled(self, written: Floats | None, read: Floats | None) -> npt.NDArray[np.float32]:
        """The weights in their own layout, for outputs times `written` and inputs times `read`."""
        weights = self.weights.astype(np.float64)
        if written is not None:
            weights = weights * written[:, None, None]
        if read is not None:
            weights = weights / (read[:, None, None] if self.depthwise else read[None, :, None])
        return np.ascontiguousarray(_stored(self.node, weights), np.float32)


def weighted(node: ir.Node) -> Weighted | None:
    """A node as its weights, if these are constant and its channels are apart."""
    if node.domain or node.op_type not in ("Conv", "ConvTranspose", "MatMul"):
        return None
    array = array_of(node.inputs[1])
    if array is None or array.dtype != np.float32 or not 0 < array.size <= LARGEST:
        return None
    if len(node.inputs) > 2 and node.inputs[2] is not None and array_of(node.inputs[2]) is None:
        return None
    rank, group = len(shape_of(node.inputs[0])), node.attributes.get_int("group", 1)
    if node.op_type == "MatMul":
        if array.ndim != 2 or rank < 2:
            return None
        return Weighted(node, array.T[:, :, None], False, rank - 1)
    depthwise = node.op_type == "Conv" and 1 < group == array.shape[0] and array.shape[1] == 1
    if group != 1 and not depthwise:
        return None
    by_output = array.swapaxes(0, 1) if node.op_type == "ConvTranspose" else array
    flat = by_output.reshape(*by_output.shape[:2], -1)
    return Weighted(node, flat, depthwise, 1)


def _stored(node: ir.Node, weights: Floats) -> Floats:
    """(outputs, inputs, taps) in the layout of the node's constant."""
    if node.op_type == "MatMul":
        return weights[:, :, 0].T
    array = array_of(node.inputs[1])
    assert array is not None
    if node.op_type == "Conv":
        return weights.reshape(array.shape)
    return weights.reshape(array.shape[1], array.shape[0], *array.shape[2:]).swapaxes(0, 1)


@dataclass(eq=False)
class ChannelGroup:
    """Tensors that can be scaled together.

    Attributes:
        channels: of each.
        axes: the channels' axis by tensor.
        writers: nodes with weights that compute one of them.
        readers: nodes with weights that read one of them.
        added: constants (node, position, axis) that are added to one of them.
    """

    channels: int
    axes: dict[ir.Value, int] = field(default_factory=dict)
    writers: list[Weighted] = field(default_factory=list)
    readers: list[Weighted] = field(default_factory=list)
    added: list[tuple[ir.Node, int, int]] = field(default_factory=list)


def channel_groups(graph: FloatGraph) -> list[ChannelGroup]:
    """Every group of which all writers and readers have weights, in the order of the graph."""
    layers = {node: found for node in graph.nodes if (found := weighted(node)) is not None}
    taken: set[ir.Value] = set()
    groups = []
    for layer in layers.values():
        value = layer.node.outputs[0]
        if value in taken:
            continue
        walk = _Walk(layers)
        walk.reach(value, layer.axis)
        taken.update(walk.axes)
        if walk.scalable and (group := walk.group()).readers:
            groups.append(group)
    return groups


class _Walk:
    """Every tensor that has to be scaled with one, and what writes and reads them."""

    def __init__(self, layers: Mapping[ir.Node, Weighted]) -> None:
        self._layers = layers
        self.axes: dict[ir.Value, int] = {}
        self.scalable = True
        self._writers: dict[ir.Node, Weighted] = {}
        self._readers: dict[ir.Node, Weighted] = {}
        self._added: dict[tuple[ir.Node, int], int] = {}

    def group(self) -> ChannelGroup:
        """What was found."""
        value, axis = next(iter(self.axes.items()))
        added = [(node, position, at) for (node, position), at in self._added.items()]
        writers, readers = list(self._writers.values()), list(self._readers.values())
        return ChannelGroup(shape_of(value)[axis], self.axes, writers, readers, added)

    def reach(self, first: ir.Value, axis: int) -> None:
        """Follow a tensor to all that are scaled with it."""
        pending = [(first, axis)]
        while pending and self.scalable:
            value, at = pending.pop()
            if value in self.axes:
                self.scalable &= self.axes[value] == at
                continue
            self.axes[value] = at
            self.scalable &= not value.is_graph_output() and value.producer() is not None
            pending += self._neighbors(value, at)

    def _neighbors(self, value: ir.Value, axis: int) -> Iterator[tuple[ir.Value, int]]:
        producer = value.producer()
        nodes = [use.node for use in value.uses()]
        for node in [producer, *nodes] if producer is not None else nodes:
            layer = self._layers.get(node)
            if layer is None:
                yield from self._through(node, value, axis)
            elif layer.axis != axis:
                self.scalable = False
            elif node is producer:
                self._writers[node] = layer
            else:
                self._readers[node] = layer

    def _through(self, node: ir.Node, value: ir.Value, axis: int) -> Iterator[tuple[ir.Value, int]]:
        """The other tensors of a node that works on each channel by itself."""
        if node.domain or len(node.outputs) != 1:
            self.scalable = False
            return
        result = node.outputs[0]
        if node.op_type in MOVES:
            source = node.inputs[0]
            other = source if value is result else result
            at = _moved(node, axis, backward=value is result)
            self.scalable &= at is not None and other is not None
            if at is not None and other is not None:
                yield other, at
            return
        if node.op_type in CHANNELWISE or (node.op_type in POOLS and axis == 1):
            constants = [array_of(item) is not None for item in node.inputs[1:]]
            self.scalable &= all(constants)
            sources = [node.inputs[0]]
        elif node.op_type == "Add":
            sources = [item for item in node.inputs if array_of(item) is None]
            self._add_constants(node, axis)
            self.scalable &= all(shape_of(item) == shape_of(result) for item in sources)
        else:
            self.scalable = False
            return
        for item in (*sources, result):
            if item is not None and item is not value:
                yield item, axis

    def _add_constants(self, node: ir.Node, axis: int) -> None:
        """Constants that are added, if they have one number for each channel."""
        shape = shape_of(node.outputs[0])
        for position, item in enumerate(node.inputs):
            array = array_of(item)
            if array is None:
                continue
            along = array.ndim - (len(shape) - axis)
            self._added[node, position] = along
            self.scalable &= along >= 0 and array.shape[along] == array.size == shape[axis]
