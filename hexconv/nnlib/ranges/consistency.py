"""Whether a graph, once the library has prepared it, still means what it was built to mean.

Consts of a graph are computed for the ranges that its tensors have when it is appended: limits
that a reader is given, lookup tables, biases, an activation that is nothing but the end of a
range. prepare then moves activations, gives the convolutions that one Concat joins a range in
common, and fuses; a run quantizes each input over its own data. Each tensor's range as the library
really gives it is held against what its readers were built for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf

from hexconv.errors import GraphError
from hexconv.names import listed
from hexconv.nnlib.graph import Graph, Node, Ref
from hexconv.nnlib.ops import RangeRule, spec
from hexconv.nnlib.prepare import Prepared
from hexconv.nnlib.prepare.fake_concat import FAKE
from hexconv.nnlib.ranges.found import Ends, FoundRanges
from hexconv.nnlib.ranges.limits import broken_rules
from hexconv.nnlib.ranges.operands import ranged_inputs
from hexconv.nnlib.ranges.run_time import broken_in_a_run
from hexconv.nnlib.ranges.scale import CLOSE, scale_of

LEVELS = 255
SLACK = 1.1
"""Steps by which a range that clips may reach beyond the bound: one, so that its zero is exact."""
SHOWN = 10
RELU = "QuantizedRelu_8"
BYPASSED = ("Requantize_8to8", "Dequantize")
"""What prepare takes out behind a Requantize_32to8 of the same range."""


@dataclass(frozen=True)
class RangeConflict:
    """A tensor whose range is not the one that a reader was built for.

    Attributes:
        reader: the node that would read it wrongly, or its name.
        maker: the node that makes it.
        why: what is assumed, and what is so.
    """

    reader: Node
    maker: Node | None
    why: str

    def __str__(self) -> str:
        made = "" if self.maker is None or self.maker is self.reader else f" of {named(self.maker)}"
        return f"{named(self.reader)}: {self.why}{made}"


@dataclass(frozen=True)
class RangeRead:
    """One tensor as one node reads it: the range that it has, and the one that it is read in."""

    node: Node
    ref: Ref
    own: Ends
    read: Ends

    @property
    def scale(self) -> float | None:
        """By what the reader multiplies it; None where nothing makes one range of the other."""
        return scale_of(self.own, self.read)


def named(node: Node) -> str:
    """A node as messages name it."""
    origin = f", from '{node.onnx_node}'" if node.onnx_node else ""
    return f"'{node.name}' ({node.op}{origin})"


class PreparedRanges:
    """The ranges of a graph as it is appended, and of what the library makes of it.

    Args:
        graph: as it is appended.
        prepared: what the library makes of it.
    """

    def __init__(self, graph: Graph, prepared: Prepared) -> None:
        self._graph, self._prepared = graph, prepared

    def check(self) -> None:
        """Refuse a graph that the library would prepare, or run, into another than was meant.

        Raises:
            GraphError: with each conflict on a line, both nodes named.
        """
        found = list(self.conflicts())
        if not found:
            return
        names = listed(sorted({item.reader.onnx_node or item.reader.name for item in found}))
        more = [f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        raise GraphError(
            f"the ranges in the graph '{self._graph.name}' do not fit together at {names}",
            why="\n       ".join([*map(str, found[:SHOWN]), *more]),
            hint="this is a fault of hexconv; --optimize none, or leaving out a rewrite, may "
            "avoid it",
        )

    def conflicts(self) -> Iterator[RangeConflict]:
        """Every conflict."""
        yield from _misread(self._reads, self._nodes)
        yield from self._changed
        for item in self.bypassed():
            why = f"reads {_shown(item.own)} as {_shown(item.read)}, and prepare takes it out"
            yield RangeConflict(item.node, self._nodes.get(item.ref.node), why)
        yield from _out_of_limits(self._prepared.graph, self._real, self._graph, self._own)
        for node, rule in broken_in_a_run(self._prepared.graph, self._real):
            yield RangeConflict(node, None, f"{rule}, in a range that an input may have in a run")

    def bypassed(self) -> Iterator[RangeRead]:
        """What requantizes read with a factor that prepare takes for ones that change nothing.

        It compares the range that they are asked for with that of the Requantize_32to8 in front,
        and does not look at the range that they read it in (nnlib/prepare/redundant.py).
        """
        executed = {node.id for node in self._prepared.graph.nodes}
        for item in self._reads.values():
            gone = item.node.op in BYPASSED and item.node.id not in executed
            if gone and (item.scale is None or abs(item.scale - 1.0) > CLOSE):
                yield item

    def wronged_convolutions(self) -> set[int]:
        """Executed convolutions whose range prepare changed though a reader, or an activation
        that their range stands for, relies on it."""
        nodes = {node.id: node for node in self._prepared.graph.nodes}
        makers = {item.maker.id for item in self._changed if item.maker is not None}
        return {_source(nodes, maker) for maker in makers & nodes.keys()}

    def wronging_relus(self) -> set[int]:
        """Relus that prepare moved into convolutions whose range a reader then reads wrongly."""
        wronged = self.wronged_convolutions()
        nodes = {node.id: node for node in self._prepared.graph.nodes}
        found = set()
        for node in self._graph.nodes if wronged else ():
            if node.op == RELU and node.id not in nodes:
                holder = self._prepared.tensor(Ref(node.id)).node
                if holder in nodes and _source(nodes, holder) in wronged:
                    found.add(node.id)
        return found

    @cached_property
    def _nodes(self) -> dict[int, Node]:
        """Of both graphs, by id."""
        return {node.id: node for node in (*self._graph.nodes, *self._prepared.graph.nodes)}

    @cached_property
    def _own(self) -> FoundRanges:
        return FoundRanges.of(self._graph)

    @cached_property
    def _real(self) -> FoundRanges:
        return FoundRanges.of(self._prepared.graph)

    @cached_property
    def _reads(self) -> dict[Place, RangeRead]:
        return reads_of(self._graph, self._own)

    @cached_property
    def _changed(self) -> list[RangeConflict]:
        """What prepare changed: factors between ranges, and ends that clip."""
        executed = reads_of(self._prepared.graph, self._real)
        return [
            *_rescaled(self._graph, self._prepared.graph, self._reads, executed),
            *_unclipped(self._graph, self._prepared, self._real, self._nodes),
        ]


def range_source(executed: Graph, node: int, position: int) -> int | None:
    """The id of the node that decides the range of an input of an executed node."""
    nodes = {item.id: item for item in executed.nodes}
    if node not in nodes or nodes[node].inputs[position].node not in nodes:
        return None
    return _source(nodes, nodes[node].inputs[position].node)


def _source(nodes: Mapping[int, Node], node: int) -> int:
    """The node from which a range is copied."""
    while True:
        item = nodes[node]
        copies = spec(item.op).rule_of(len(item.inputs)) is RangeRule.COPIED
        if not (copies or item.op.startswith("Convert_")) or item.inputs[0].node not in nodes:
            return node
        node = item.inputs[0].node


Place = tuple[int, int]
"""A node's id, and the position of an input."""


def reads_of(graph: Graph, found: FoundRanges) -> dict[Place, RangeRead]:
    """The tensors that nodes read in other ranges than they have, by reader and position."""
    reads: dict[Place, RangeRead] = {}
    for node in graph.nodes:
        inputs = node.inputs
        for item in ranged_inputs(node.op, len(inputs)):
            own = found.ends.get(inputs[item.data])
            read = (found.bound(inputs[item.low]), found.bound(inputs[item.high]))
            if own is not None and own != read:
                reads[node.id, item.data] = RangeRead(node, inputs[item.data], own, read)
        if node.made_for is not None:
            own = found.ends.get(inputs[0])
            if own is not None and own != node.made_for:
                reads[node.id, 0] = RangeRead(node, inputs[0], own, node.made_for)
    return reads


def _misread(
    reads: Mapping[Place, RangeRead], nodes: Mapping[int, Node]
) -> Iterator[RangeConflict]:
    """Limits that no factor makes of the range that the tensor has, but for those meant so."""
    for item in reads.values():
        maker = nodes.get(item.ref.node)
        given_by_run = all(isinstance(end, Ref) for end in item.read)
        meant = item.node.by_levels or (maker is not None and maker.by_levels and given_by_run)
        if item.scale is None and not meant:
            why = f"reads {_shown(item.read)} where {_shown(item.own)} is the range"
            yield RangeConflict(item.node, maker, why)


def _rescaled(
    graph: Graph,
    prepared: Graph,
    before: Mapping[Place, RangeRead],
    after: Mapping[Place, RangeRead],
) -> Iterator[RangeConflict]:
    """Factors that prepare changed: a tensor got another range than its reader was built for."""
    appended, executed = graph.node_by_id(), prepared.node_by_id()
    for place in {**before, **after}:
        node = appended.get(place[0])
        if node is None:
            continue
        built, found = before.get(place), after.get(place)
        if node.id not in executed or _op(executed[node.id]) != _op(node):
            found = None if built is None else _read_by_part(node, place, after)
            if found is None:
                continue
        elif found is None and built is not None:  # what pads its input reads it
            found = _read_by_part(node, place, after)
        meant = 1.0 if built is None else built.scale
        now = 1.0 if found is None else found.scale
        if meant is None or (now is not None and abs(now / meant - 1.0) <= CLOSE):
            continue
        item = found or built
        assert item is not None
        why = (
            f"was built to read a tensor times {meant:.6g}, and prepare gives it the range "
            f"{_shown(item.own)}, read as {_shown(item.read)}"
        )
        maker = executed.get(item.ref.node, appended.get(item.ref.node))
        yield RangeConflict(item.node, maker, why)


def _read_by_part(node: Node, place: Place, after: Mapping[Place, RangeRead]) -> RangeRead | None:
    """What the first of the nodes reads that prepare makes of one, such as a dilated convolution.

    They have names of their own below its name. A node that prepare fused reads other things.
    """
    parts = (
        r for (_, at), r in after.items() if r.node.name.startswith(f"{node.name}/") and not at
    )
    return next(parts, None) if place[1] == 0 else None


def _op(node: Node) -> str:
    """As it was appended; the concat of what is written in place has a name of its own."""
    return "QuantizedConcat_8" if node.op == FAKE else spec(node.op).form_of or node.op


def _unclipped(
    graph: Graph, prepared: Prepared, real: FoundRanges, nodes: Mapping[int, Node]
) -> Iterator[RangeConflict]:
    """Activations that the end of a range stands for, and that prepare undid by widening it."""
    executed = {node.id for node in prepared.graph.nodes}
    for node in graph.nodes:
        limits = node.saturates
        if limits is None and node.op == RELU and node.id not in executed:
            limits = 0.0, inf
        ref = prepared.tensor(Ref(node.id))
        ends = real.ends.get(ref)
        if limits is None or ends is None:
            continue
        low, high = ends
        if not (isinstance(low, float) and isinstance(high, float)):
            continue
        slack = SLACK * (high - low) / LEVELS
        if low < limits[0] - slack or high > limits[1] + slack:
            why = f"has to clip at {_shown(limits)}, and has the range {_shown(ends)}"
            yield RangeConflict(node, nodes.get(ref.node), why)


def _out_of_limits(
    prepared: Graph, real: FoundRanges, graph: Graph, own: FoundRanges
) -> Iterator[RangeConflict]:
    """Nodes that the library computes wrongly, or not at all, with the ranges that they get.

    Those whose ranges prepare left alone were looked at when the graph was checked.
    """
    before = {node.id: _scalars(node, own) for node in graph.nodes}
    for node in prepared.nodes:
        now = _scalars(node, real)
        if before.get(node.id) == now:
            continue
        for rule in broken_rules(real.site(node)):
            yield RangeConflict(node, None, rule)
        asked = real.site(node).range("out_")
        if asked is not None and not asked[0] < asked[1]:
            yield RangeConflict(node, None, f"is asked for the empty range {_shown(asked)}")


def _scalars(node: Node, found: FoundRanges) -> list[float | None]:
    return [found.scalars.get(ref) for ref in node.inputs]


def _shown(ends: Ends) -> str:
    if all(isinstance(end, float) for end in ends):
        return f"{ends[0]:.6g}..{ends[1]:.6g}"
    return "a range that each run finds"
