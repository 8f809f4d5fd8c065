"""A requantize after a node that could have used that range itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hexconv.nnlib.builder import Builder
from hexconv.nnlib.constraints import CONSTRAINTS
from hexconv.nnlib.graph import Graph, Node, Ref
from hexconv.nnlib.ops import spec
from hexconv.nnlib.ranges.found import Ends, FoundRanges
from hexconv.nnlib.ranges.operands import ranged_inputs
from hexconv.nnlib.ranges.run_time import broken_in_a_run
from hexconv.nnlib.ranges.scale import scale_of
from hexconv.optimize.registry import Stage, declined, rewrite
from hexconv.quantize.ranges import LEVELS, Range

PORTS = 3
LIMITS = 2
"""Inputs (out_min, out_max): what a node is asked for."""


@rewrite(Stage.NNLIB)
def requantize_once(graph: Graph) -> int:
    """Requantize_8to8 after its only producer is removed: the range is requested there."""
    merger = _Merger(graph)
    for node in graph.nodes:
        merger.take(node)
    graph.nodes[:] = merger.nodes.values()
    return merger.count


class _Merger:
    """Nodes in order, asked for other ranges where that spares a requantize."""

    def __init__(self, graph: Graph) -> None:
        self.count = 0
        self._graph = graph
        self._builder = Builder.on(graph)
        self._readers = graph.consumers()
        self._found = FoundRanges(graph.consts)
        self.nodes: dict[int, Node] = {}
        self._instead: dict[Ref, Ref] = {}

    def take(self, node: Node) -> None:
        """The next node: as it is, or with the one before it made one."""
        node = replace(node, inputs=tuple(self._instead.get(ref, ref) for ref in node.inputs))
        merged = self._merged(node) if node.op == "Requantize_8to8" else None
        if merged is not None:
            self._instead.update(merged.instead)
            self.count += 1
            node = merged.node
        self.nodes[node.id] = node
        self._found.visit(node)

    def _merged(self, node: Node) -> _Merged | None:
        """The node before a requantize, asked for its range; None where it cannot have it."""
        producer = self.nodes.get(node.inputs[0].node)
        if producer is None or not requests(producer) or not self._feeds_only(producer, node):
            return None
        if not all(ref in self._found.scalars for ref in _requested(producer)):
            declined("requantize_once", node.name, "its range is found in each run")
            return None
        given, read = self._limits(producer), self._read(node)
        scale = scale_of(given, read)
        if scale is None:
            declined("requantize_once", node.name, "the range it reads is not that of its data")
            return None
        low, high = (end / scale for end in self._limits(node))
        if not _inside((low, high), given):
            declined("requantize_once", node.name, f"'{producer.name}' clips to a smaller range")
            return None
        limits = _requested(node)
        if scale != 1.0:
            limits = self._builder.minmax(f"{producer.name}/unscaled", _range(low, high))
            for ref in limits:
                self._found.add_const(self._builder.const_at(ref))
        asked = replace(
            producer,
            inputs=_with_requested(producer, limits),
            origin=(node.origin if scale == 1.0 else None) or producer.origin,
            saturates=_both(producer.saturates, node.saturates, scale),
        )
        return _Merged(asked, self._replaced(node, asked, scale)) if self._runs(asked) else None

    def _replaced(self, node: Node, asked: Node, scale: float) -> dict[Ref, Ref]:
        """What readers of a requantize read then: a scaled range is that of its own limits."""
        ranges = [Ref(asked.id, 1), Ref(asked.id, 2)] if scale == 1.0 else list(_requested(node))
        refs = [Ref(asked.id), *ranges]
        return {Ref(node.id, port): ref for port, ref in enumerate(refs)}

    def _runs(self, node: Node) -> bool:
        """Whether the library computes it rightly, whichever ranges the inputs have in a run."""
        site = self._found.site(node)
        if any(limit.rule and CONSTRAINTS[limit.rule](site) for limit in site.spec.limits):
            return False
        pairs = ranged_inputs(node.op, len(node.inputs))
        ends = (node.inputs[position] for pair in pairs for position in (pair.low, pair.high))
        if all(ref in self._found.scalars for ref in ends):
            return True
        nodes = [node if known.id == node.id else known for known in self.nodes.values()]
        broken = broken_in_a_run(replace(self._graph, nodes=nodes), self._found)
        return all(found.id != node.id for found, _ in broken)

    def _limits(self, node: Node) -> tuple[float, float]:
        low, high = (self._found.scalars[ref] for ref in _requested(node))
        return low, high

    def _read(self, node: Node) -> Ends:
        low, high = (self._found.bound(ref) for ref in node.inputs[1:3])
        return low, high

    def _feeds_only(self, producer: Node, node: Node) -> bool:
        found = [
            reader.id
            for port in range(PORTS)
            for reader, _ in self._readers.get(Ref(producer.id, port), [])
        ]
        return bool(found) and set(found) == {node.id}


@dataclass(frozen=True)
class _Merged:
    """A node with another range, and what is read instead of the requantize behind it."""

    node: Node
    instead: dict[Ref, Ref]


def requests(node: Node) -> bool:
    """Whether a node takes its output range as inputs, and supports any."""
    if node.keeps_range:
        return False
    known = spec(node.op)
    if not known.rule_of(len(node.inputs)).requested or node.outputs[0].dtype != "uint8":
        return False
    return known.position("out_min", len(node.inputs)) is not None


def _requested(node: Node) -> tuple[Ref, ...]:
    """The inputs (out_min, out_max) of a node that has them."""
    at = spec(node.op).position("out_min", len(node.inputs))
    assert at is not None  # `requests` and Requantize_8to8 see to that
    return node.inputs[at : at + LIMITS]


def _with_requested(node: Node, limits: tuple[Ref, ...]) -> tuple[Ref, ...]:
    """The inputs of a node that is asked for another range; channel scales stay behind it."""
    at = spec(node.op).position("out_min", len(node.inputs))
    assert at is not None
    return (*node.inputs[:at], *limits, *node.inputs[at + LIMITS :])


def _inside(wanted: tuple[float, float], given: tuple[float, float]) -> bool:
    """Whether one range is inside the other, up to half an LSB.

    Where it is not, the end of the producer's range may be what clips (a fused Relu).
    """
    slack = 0.5 * (wanted[1] - wanted[0]) / LEVELS
    return given[0] - slack <= wanted[0] and wanted[1] <= given[1] + slack


def _range(low: float, high: float) -> Range:
    """As `Range`, zero on the code where it is."""
    step = (high - low) / LEVELS
    return Range(step, round(-low / step)).scaled(1.0)


def _both(
    own: tuple[float, float] | None, other: tuple[float, float] | None, scale: float
) -> tuple[float, float] | None:
    """What a node must hold that stands for two; the other's limits are `scale` times larger."""
    if other is None:
        return own
    low, high = other[0] / scale, other[1] / scale
    return (low, high) if own is None else (max(low, own[0]), min(high, own[1]))
