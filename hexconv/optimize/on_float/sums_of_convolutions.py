"""Convolutions that are added up: one over their concatenated inputs, where that is cheaper.

The blocks of a vocoder's stage run in parallel and are summed. A sum that one convolution computes
in its accumulators needs no additions, and is rounded once. A long sum of any tensors is a
convolution of width 1 in the same way, its weights all 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.optimize.fusions.fold_time import Signal, plan
from hexconv.optimize.on_float.same_convolution import (
    Kernel,
    add_price,
    added,
    bhwd,
    concat_price,
    identity,
    kernel_of,
    same_params,
    same_shape_sum,
)
from hexconv.optimize.price import Prices
from hexconv.optimize.registry import Stage, declined, rewrite

ACTIVATIONS = frozenset(("LeakyRelu", "Relu", "Tanh", "Sigmoid"))


@rewrite(Stage.FLOAT, priced=True)
def sums_of_convolutions(graph: FloatGraph, prices: Prices) -> int:
    """Convolutions that are added up are one over their concatenated inputs; so are long sums."""
    builder = FloatBuilder(graph.graph)
    folded: Mapping[ir.Node, tuple[Signal, int]] | None = None
    count = 0
    for node in graph.nodes:
        if node.graph is None or not same_shape_sum(node) or _inside(node):
            continue
        total = _Sum(node, prices)
        if not total.branches:
            continue
        if folded is None:
            folded = plan(graph, prices)
        gain = total.cheapen()
        if gain <= 0:
            declined("sums_of_convolutions", node.name, "no grouping is cheaper")
            continue
        # With few channels the lanes may be better filled with time.
        if gain <= sum(_gain_of_folding(branch, folded, prices) for branch in total.branches):
            declined("sums_of_convolutions", node.name, "fold_time serves its convolutions better")
            continue
        builder.at(node)
        builder.replace(node, [total.put(builder)])
        count += 1
    if count:
        remove_dead(graph.graph)
    return count


def _gain_of_folding(
    branch: SummedConv, folded: Mapping[ir.Node, tuple[Signal, int]], prices: Prices
) -> float:
    """The packets that fold_time saves on a convolution that it is planned for."""
    node = branch.value.producer()
    if node is None or node not in folded:
        return 0.0
    signal, factor = folded[node]
    return signal.gain(factor, prices)


def _inside(node: ir.Node) -> bool:
    """Whether a node is part of a larger sum."""
    value = node.outputs[0]
    return read_once(value) and same_shape_sum(next(iter(value.uses())).node)


def _terms(node: ir.Node) -> list[ir.Value]:
    """The operands of a tree of additions."""
    found: list[ir.Value] = []
    for value in node.inputs:
        assert value is not None
        producer = value.producer()
        if producer is not None and same_shape_sum(producer) and read_once(value):
            found += _terms(producer)
        else:
            found.append(value)
    return found


@dataclass(frozen=True, eq=False)
class SummedConv:
    """A convolution whose result only the sum reads."""

    value: ir.Value
    source: ir.Value
    kernel: Kernel


@dataclass(frozen=True, eq=False)
class SumGroup:
    """Branches that one convolution computes, over their concatenated inputs."""

    branches: tuple[SummedConv, ...]

    @property
    def sources(self) -> list[ir.Value]:
        """The inputs, each once."""
        return list(dict.fromkeys(branch.source for branch in self.branches))

    @property
    def kernel(self) -> Kernel:
        """Of the one convolution."""
        sources = self.sources
        slots = [sources.index(branch.source) for branch in self.branches]
        return added([branch.kernel for branch in self.branches], slots)

    @property
    def possible(self) -> bool:
        """Whether one range suits all weights, and the library computes the kernel correctly."""
        if len(self.branches) == 1:
            return True
        return same_params([branch.kernel for branch in self.branches]) and self.kernel.runs

    def own(self, source: ir.Value) -> ir.Node | None:
        """The activation that computes a source for this group alone."""
        node = source.producer()
        if node is None or node.domain or node.op_type not in ACTIVATIONS:
            return None
        readers = {branch.value.producer() for branch in self.branches}
        apart = source.is_graph_output() or {use.node for use in source.uses()} - readers
        return None if apart else node

    @property
    def activation(self) -> ir.Node | None:
        """One of the equal nodes that compute the sources, if they do so for this group alone."""
        nodes = [self.own(source) for source in self.sources]
        first = nodes[0]
        same = all(node is not None and _kind(node) == _kind(first) for node in nodes)
        return first if first is not None and same else None

    @property
    def inputs(self) -> list[ir.Value]:
        """The tensors to concatenate: the sources, or the inputs of their activations."""
        if self.activation is None:
            return self.sources
        nodes = [source.producer() for source in self.sources]
        return [node.inputs[0] for node in nodes if node is not None and node.inputs[0] is not None]

    def price(self, shape: Sequence[int], prices: Prices) -> float:
        """Of all nodes that the group needs for itself; infinite where it is not possible."""
        if not self.possible:
            return inf
        channels = [shape_of(source)[1] for source in self.sources]
        total = self.kernel.price(shape, prices)
        total += concat_price([bhwd(shape, n) for n in channels], prices)
        if self.activation is not None:
            return total + _activation_price(shape, sum(channels), prices)
        alone = [shape_of(source)[1] for source in self.sources if self.own(source) is not None]
        return total + sum(_activation_price(shape, n, prices) for n in alone)

    def put(self, builder: FloatBuilder) -> ir.Value:
        """The one convolution, and what comes before it."""
        if len(self.branches) == 1:
            return self.branches[0].value
        inputs, activation = self.inputs, self.activation
        joined = inputs[0] if len(inputs) == 1 else builder.op("Concat", inputs, {"axis": 1})
        if activation is not None:
            attrs = {name: attr.value for name, attr in activation.attributes.items()}
            joined = builder.op(activation.op_type, [joined], attrs)
        return self.kernel.put(joined, builder)


class _Sum:
    """A sum of convolutions in groups, and of other tensors."""

    def __init__(self, last: ir.Node, prices: Prices) -> None:
        self.prices = prices
        self.shape = shape_of(last.outputs[0])
        self.branches: list[SummedConv] = []
        self.others: list[ir.Value] = []
        for value in _terms(last):
            node = value.producer()
            kernel = kernel_of(node) if read_once(value) else None
            if kernel is None or node is None or node.inputs[0] is None:
                self.others.append(value)
            else:
                self.branches.append(SummedConv(value, node.inputs[0], kernel))
        self.groups = [SumGroup((branch,)) for branch in self.branches]

    def cheapen(self) -> float:
        """Merge groups while the cost falls; returns the packets that this saves."""
        apart = sum(group.price(self.shape, self.prices) for group in self.groups)
        before = apart + self._additions(len(self.groups) + len(self.others))
        best = self._price(self.groups)
        while True:
            options = [
                [
                    *(g for g in self.groups if g is not one and g is not other),
                    SumGroup(one.branches + other.branches),
                ]
                for one, other in combinations(self.groups, 2)
            ]
            found = min(options, key=self._price, default=self.groups)
            if self._price(found) >= best:
                return before - best
            best, self.groups = self._price(found), found

    def put(self, builder: FloatBuilder) -> ir.Value:
        """The sum as nodes."""
        terms = [*self._in_order(), *(group.put(builder) for group in self.groups)]
        if self._product(len(terms)) < self._additions(len(terms)):
            joined = builder.op("Concat", terms, {"axis": 1})
            return self._ones(len(terms)).put(joined, builder)
        total = terms[0]
        for term in terms[1:]:
            total = builder.op("Add", [total, term])
        return total

    def _in_order(self) -> list[ir.Value]:
        """The other tensors; those that a group reads concatenated are concatenated here too."""
        read = list(dict.fromkeys(v for g in self.groups if len(g.branches) > 1 for v in g.inputs))
        # A stable sort: a tensor that is added twice stays twice.
        return sorted(self.others, key=lambda v: 1 + read.index(v) if v in read else 0)

    def _price(self, groups: Sequence[SumGroup]) -> float:
        terms = len(groups) + len(self.others)
        total = min(self._additions(terms), self._product(terms))
        return total + sum(group.price(self.shape, self.prices) for group in groups)

    def _additions(self, terms: int) -> float:
        return (terms - 1) * add_price(bhwd(self.shape, self.shape[1]), self.prices)

    def _product(self, terms: int) -> float:
        """The cost of a sum that is a convolution of width 1."""
        shapes = [bhwd(self.shape, self.shape[1])] * terms
        return self._ones(terms).price(self.shape, self.prices) + concat_price(shapes, self.prices)

    def _ones(self, terms: int) -> Kernel:
        return identity(self.shape[1], terms, len(self.shape) - 2)


def _kind(node: ir.Node | None) -> tuple[object, ...] | None:
    """The properties that two equal activations share."""
    if node is None:
        return None
    return node.op_type, *sorted((name, a.value) for name, a in node.attributes.items())


def _activation_price(shape: Sequence[int], channels: int, prices: Prices) -> float:
    """The cost of any activation: that of LeakyReLU is used for all."""
    sizes = bhwd(shape, channels)
    return prices.in_d32("QuantizedPRelu_8", [sizes], sizes)
