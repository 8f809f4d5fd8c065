"""What outputs that are the probabilities of a softmax are computed of.

Where a sample is between two classes, a little noise changes its probabilities by tens of decibels,
up or down; that of what the Softmax reads, the logits, is as smooth as other noise, and tells
whether a model is better. A Sigmoid never makes an error larger, and where its logits are far from
zero their noise tells little: judged by logits, a voice detector lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hexconv.arrays import Array
from hexconv.compare.quantized import values_of
from hexconv.nnlib.graph import Graph, Node, Origin, Ref
from hexconv.nnlib.versions import LibraryVersion
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.last_functions import last_nodes
from hexconv.simulator import Simulator
from hexconv.simulator.executor import SAME_DATA

SOFTMAX = "QuantizedSoftmax_8"
"""What computes probabilities of data, min and max; its d32 form begins alike."""
DATA_MIN_MAX = 3
"""Its inputs; a further one scales the data."""


@dataclass(frozen=True)
class Logits:
    """What a Softmax reads whose probabilities are an output, however reshaped.

    Attributes:
        output: of the model.
        probabilities: what the Softmax returns.
        tensor: that it reads.
        axis: along which it sees no number that is added to all values.
    """

    output: str
    probabilities: str
    tensor: str
    axis: int

    def seen(self, values: Array) -> Array:
        """Values without what the Softmax does not see."""
        return np.asarray(values - values.mean(axis=self.axis, keepdims=True))


def logits_of(graph: FloatGraph) -> tuple[Logits, ...]:
    """Those of a float model's outputs."""
    return tuple(_found(graph))


def _found(graph: FloatGraph) -> Iterator[Logits]:
    for output, node in last_nodes(graph.graph):
        axis, read = node.attributes.get("axis"), node.inputs[0]
        if node.op_type == "Softmax" and read is not None:
            names = (str(output.name), str(node.outputs[0].name), str(read.name))
            yield Logits(*names, -1 if axis is None else axis.as_int())


class _Place(NamedTuple):
    """Where logits are in the executed graph, and how their probabilities are laid out."""

    data_min_max: tuple[Ref, Ref, Ref]
    origin: Origin


class WithLogits:
    """Simulates a model, and returns logits beside its outputs.

    Args:
        graph: of the model.
        library: which is simulated.
        wanted: those that the model does not have, or returns itself, are left out.
    """

    def __init__(self, graph: Graph, library: LibraryVersion, wanted: Sequence[Logits]) -> None:
        self._simulator = Simulator(graph, library)
        self._executed = self._simulator.prepared.graph.node_by_id()
        self._consts = self._simulator.prepared.graph.const_by_id()
        outputs = {item.name for item in graph.outputs}
        found = {x.tensor: self._place(graph, x) for x in wanted if x.tensor not in outputs}
        self._places = {name: place for name, place in found.items() if place is not None}
        self._read = {ref.node for place in self._places.values() for ref in place.data_min_max}

    def run(self, sample: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs, and logits by their names."""
        if not self._places:
            return self._simulator.run(sample)
        kept: dict[int, list[Array]] = {}

        def watch(node: Node, results: list[Array]) -> list[Array]:
            if node.id in self._read:
                kept[node.id] = list(results)
            return results

        outputs = self._simulator.run_watched(sample, watch)
        for name, (refs, origin) in self._places.items():
            read = [kept[x.node][x.port] if x.node in kept else self._const(x) for x in refs]
            outputs[name] = origin.layout.unpack(values_of(read), origin.shape)
        return outputs

    def _const(self, ref: Ref) -> Array:
        return self._consts[ref.node].array

    def _place(self, graph: Graph, wanted: Logits) -> _Place | None:
        """Of what the Softmax reads; None if that is not known."""
        for node in graph.nodes:
            if node.origin is not None and node.origin.tensor == wanted.probabilities:
                made = self._executed.get(self._computed(Ref(node.id)).node)
                if made is not None and made.op.startswith(SOFTMAX):
                    return self._read_by(made, node.origin)
        return None

    def _read_by(self, node: Node, origin: Origin) -> _Place | None:
        if len(node.inputs) != DATA_MIN_MAX or node.inputs[0].node not in self._executed:
            return None
        data, low, high = node.inputs
        return _Place((data, low, high), origin)

    def _computed(self, ref: Ref) -> Ref:
        """Where a tensor is computed; nodes behind that only change how it is laid out."""
        ref = self._simulator.prepared.tensor(ref)
        while ref.node in self._executed and self._executed[ref.node].op in SAME_DATA:
            ref = self._executed[ref.node].inputs[0]
        return ref
