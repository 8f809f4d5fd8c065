"""The float model with errors added to some of its tensors: only what follows them is computed.

The model is cut into parts that run one after the other. Of a sample that was run once, each later
run begins with the first part that an error is added in, and leaves out the parts that read nothing
that has changed. Each run is of one thread: many of them can run at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.onnx_graph.builder import shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.graph import FloatGraph
from hexconv.onnx_graph.session import FloatSession

PARTS = 12
"""Parts of a model, of as many nodes each."""
ADDED, SUM = "/added", "/sum"
Arrays = Mapping[str, Array]


class Perturbed:
    """A float model, open for errors at some tensors.

    Args:
        graph: of it; it is not changed.
        tensors: names of the float tensors that errors can be added to.
    """

    def __init__(self, graph: FloatGraph, tensors: Sequence[str]) -> None:
        self._graph, nodes = graph, graph.nodes
        count = max(1, min(PARTS, len(nodes)))
        ends = [place * len(nodes) // count for place in range(count + 1)]
        self._parts = [_Part(graph, first, last, tensors) for first, last in pairwise(ends)]
        self._inputs = [str(value.name) for value in graph.graph.inputs]
        self._outputs = [str(value.name) for value in graph.graph.outputs]

    def clean(self, sample: Arrays) -> dict[str, Array]:
        """Of a sample without errors: all that parts hand over, and the model's outputs."""
        constant = {name: self._graph.const(name) for name in self._outputs}
        values = {name: array for name, array in constant.items() if array is not None}
        values |= {name: sample[name] for name in self._inputs}
        for part in self._parts:
            values |= part.run(values, {})
        return values

    def outputs(self, clean: Arrays, added: Arrays) -> dict[str, Array]:
        """The model's outputs by name.

        Args:
            clean: of the sample.
            added: the error of each tensor that has one, of its shape.
        """
        values, changed = dict(clean), set[str]()
        for name in added.keys() & set(self._inputs):
            values[name] = values[name] + added[name]
            changed.add(name)
        for part in self._parts:
            own = {name: added[name] for name in part.tensors if name in added}
            if own or not changed.isdisjoint(part.inputs):
                values |= part.run(values, own)
                changed.update(part.outputs)
        return {name: values[name] for name in self._outputs}


class _Part:
    """Nodes of a model that follow each other.

    Args:
        graph: the model.
        first, last: of the nodes, in the order of the model; the last is not among them.
        tensors: that errors can be added to.

    Attributes:
        inputs: names of what the nodes read that others compute, or the model receives.
        outputs: names of what they compute for others, or for the model.
        tensors: those of the given ones that they compute.
    """

    def __init__(self, graph: FloatGraph, first: int, last: int, tensors: Iterable[str]) -> None:
        self._graph, self._first, self._last = graph, first, last
        nodes, wanted = graph.nodes[first:last], set(tensors)
        made = [str(value.name) for node in nodes for value in node.outputs]
        self.inputs = [str(value.name) for value in _read_from_elsewhere(nodes)]
        self.outputs = [str(value.name) for value in _handed_over(nodes)]
        self.tensors = tuple(name for name in made if name in wanted)

    def run(self, values: Arrays, added: Arrays) -> dict[str, Array]:
        """What the part hands over.

        Args:
            values: what others computed, and the model's inputs.
            added: to tensors of this part.
        """
        feeds = {name: values[name] for name in self.inputs}
        if not added:
            return self._plain.run(feeds) if self.outputs else {}
        session, nothing = self._open
        feeds |= {name + ADDED: added.get(name, zero) for name, zero in nothing.items()}
        return dict(zip(self.outputs, session.run(feeds).values(), strict=True))

    @cached_property
    def _plain(self) -> FloatSession:
        return FloatSession(self._cut_out(())[0], threads=1)

    @cached_property
    def _open(self) -> tuple[FloatSession, dict[str, Array]]:
        """With an input for the error of each tensor, and what has none by name."""
        made, ranks = self._cut_out(self.tensors)
        session = FloatSession(made, threads=1)
        return session, {n: np.zeros((1,) * r, np.float32) for n, r in ranks.items()}

    def _cut_out(self, tensors: Sequence[str]) -> tuple[FloatGraph, dict[str, int]]:
        """A model of the part's nodes, and the ranks of the tensors that have an input."""
        copied = ir.Model(self._graph.graph.clone(), ir_version=self._graph.model.ir_version)
        graph, found = copied.graph, replace(self._graph, model=copied)
        nodes = list(graph)[self._first : self._last]
        entering = _read_from_elsewhere(nodes)
        graph.outputs.clear()
        graph.inputs.clear()
        values = {str(value.name): value for node in nodes for value in node.outputs}
        graph.outputs.extend(values[name] for name in self.outputs)
        for value in entering:
            _receive(graph, value, nodes)
        remove_dead(graph)
        return found, {name: _add(graph, values[name]) for name in tensors}


def _read_from_elsewhere(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """What nodes read that others compute, or the model receives."""
    own = {value for node in nodes for value in node.outputs}
    read = dict.fromkeys(v for node in nodes for v in node.inputs if v is not None)
    return [value for value in read if value not in own and not value.is_initializer()]


def _handed_over(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """What nodes compute that others read, or the model returns."""
    own = set(nodes)
    made = (value for node in nodes for value in node.outputs)
    return [v for v in made if v.is_graph_output() or any(u.node not in own for u in v.uses())]


def _receive(graph: ir.Graph, value: ir.Value, nodes: Sequence[ir.Node]) -> None:
    """Let nodes read an input of the name of a value."""
    own, received = set(nodes), ir.Value(name=value.name, shape=value.shape, type=value.type)
    graph.inputs.append(received)
    for node, place in [(use.node, use.idx) for use in value.uses() if use.node in own]:
        node.replace_input_with(place, received)


def _add(graph: ir.Graph, value: ir.Value) -> int:
    """Add an input to a tensor; its rank. Sizes are open, so that one 0 can stand for zeros."""
    name, rank = str(value.name), len(shape_of(value))
    sizes = ir.Shape([f"{name}/{axis}" for axis in range(rank)])
    added = ir.Value(name=name + ADDED, shape=sizes, type=value.type)
    graph.inputs.append(added)
    total = ir.node("Add", [value, added])
    total.outputs[0].name = name + SUM
    total.outputs[0].shape, total.outputs[0].type = value.shape, value.type
    producer = value.producer()
    assert producer is not None
    readers = [(use.node, use.idx) for use in value.uses() if use.node is not total]
    graph.insert_after(producer, [total])
    for node, place in readers:
        node.replace_input_with(place, total.outputs[0])
    for place, output in enumerate(graph.outputs):
        if output is value:
            graph.outputs[place] = total.outputs[0]
    return rank
