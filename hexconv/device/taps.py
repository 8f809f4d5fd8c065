"""Every node's outputs, by connecting them to the graph's OUTPUT beside the model's own.

A tap is an additional reader of a tensor, and can change what prepare does: a fusion that needs a
single reader is not applied. So each tapped graph must be prepared like the untapped one (same
nodes, in the same forms) and return the same model outputs; taps that disturb are found by
bisection, left out and listed. Bisection also keeps within the library's limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hexconv.arrays import Array
from hexconv.device.listing import Listed, parse_listing, show_listing
from hexconv.device.records import RunRecords
from hexconv.device.session import Run, Session
from hexconv.device.wiring import single, tensor_slots
from hexconv.errors import DeviceError, GraphError
from hexconv.nnlib.graph import FLOAT_OUTPUT_OP, OUTPUT_PORTS, Graph, Node, Ref

GROUP_BYTES = 256 << 20
"""Tapped tensors of one process; the emulated address space holds them beside the graph."""

DISTURBS = "an additional reader would change what prepare does to the graph"


@dataclass(frozen=True)
class LibraryTaps(Mapping[str, list[Array]]):
    """Raw outputs of nodes, (B,H,W,D) in the library's own types, by node name.

    Args:
        arrays: the outputs, in the order of the ports.
        left_out: nodes that cannot be tapped, and why.
        executed: (name, op) of each node that the library executes, in order.
    """

    arrays: dict[str, list[Array]]
    left_out: dict[str, str]
    executed: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> list[Array]:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


def tap(session: Session, graph: Graph, run: Run) -> LibraryTaps:
    """Execute `graph` on one input as often as needed to return the outputs of all of its nodes.

    Args:
        session: the library.
        graph: a graph with MACE's input and output nodes, or with INPUT and OUTPUT.
        run: the input tensors.

    Raises:
        DeviceError: if the library cannot run the graph.
    """
    _unique_names(graph)
    plain = _execute(session, graph, run, ())
    nodes = parse_listing(plain.after)
    executed = {node.id for node in nodes}
    kept = [node for node in graph.nodes if node.outputs and node.id in executed]
    removed = [node for node in graph.nodes if node.outputs and node.id not in executed]
    arrays: dict[str, list[Array]] = {}
    left_out: dict[str, str] = {}
    for group in [*_groups(kept), *_groups(removed)]:
        _tap_group(session, graph, run, plain, group, arrays, left_out)
    names = [node.name for node in graph.nodes]
    ordered = {name: arrays[name] for name in names if name in arrays}
    return LibraryTaps(ordered, left_out, tuple(show_listing(graph, nodes)))


def _unique_names(graph: Graph) -> None:
    names: set[str] = set()
    for node in graph.nodes:
        if node.name in names:
            raise GraphError(f"two nodes have the name '{node.name}', so taps cannot be named")
        names.add(node.name)


def _groups(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Split so that no group's tensors need more than `GROUP_BYTES` (unless one node's do)."""
    group: list[Node] = []
    size = 0
    for node in nodes:
        needed = sum(output.nbytes for output in node.outputs)
        if group and size + needed > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(node)
        size += needed
    if group:
        yield group


def _tap_group(
    session: Session,
    graph: Graph,
    run: Run,
    plain: RunRecords,
    group: Sequence[Node],
    arrays: dict[str, list[Array]],
    left_out: dict[str, str],
) -> None:
    """Add the outputs of `group` to `arrays`; nodes that cannot be tapped, to `left_out`.

    A group that the library rejects may have more outputs than it supports, or one that it cannot
    return: smaller groups are tried.
    """
    try:
        records = _execute(session, graph, run, group)
        why = "" if _undisturbed(plain, records) else DISTURBS
    except DeviceError as error:
        why = error.why or error.what
    if not why:
        tensors = iter(records.outputs[0][len(plain.outputs[0]) :])
        for node in group:
            arrays[node.name] = [next(tensors) for _ in node.outputs]
    elif len(group) == 1:
        left_out[group[0].name] = why
    else:
        half = len(group) // 2
        for part in (group[:half], group[half:]):
            _tap_group(session, graph, run, plain, part, arrays, left_out)


def _undisturbed(plain: RunRecords, tapped: RunRecords) -> bool:
    own = plain.outputs[0]
    same_nodes = _own_nodes(plain.after) == _own_nodes(tapped.after)
    return same_nodes and all(
        np.array_equal(one, other)
        for one, other in zip(own, tapped.outputs[0][: len(own)], strict=True)
    )


def _own_nodes(listing: str) -> set[Listed]:
    """The nodes of the model; those that prepare adds at its ends and between layouts may vary."""
    return {node for node in parse_listing(listing) if not node.made_by_prepare}


def _execute(session: Session, graph: Graph, run: Run, tapped: Sequence[Node]) -> RunRecords:
    """Execute with a raw OUTPUT: the model's outputs, then those of the tapped nodes."""
    end = single(graph, *OUTPUT_PORTS)
    refs = [*end.inputs, *(Ref(n.id, port) for n in tapped for port in range(len(n.outputs)))]
    nodes = [node for node in graph.nodes if node is not end]
    raw = replace(graph, nodes=[*nodes, replace(end, op=FLOAT_OUTPUT_OP, inputs=tuple(refs))])
    slots = tensor_slots(graph, refs)
    return session.execute(raw, [run], slots, list_nodes=True)
