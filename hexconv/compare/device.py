"""The simulator against the real library, node by node."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from hexconv.arrays import Array
from hexconv.device import Library
from hexconv.nnlib.feeds import Feeds
from hexconv.nnlib.graph import Graph, HasGraph, Node, graph_of
from hexconv.simulator.run import simulate


class NodeVerdict(StrEnum):
    """The result of the comparison of one node."""

    EXACT = "exact"
    DIFFERS = "differs"
    UNSEEN = "unseen"  # one side cannot show this node's outputs alone


@dataclass(frozen=True)
class NodeRow:
    """One node of the graph, on both sides.

    Args:
        name: the node's name.
        op: its op, as appended.
        verdict: bit-exact on all ports, or not, or not seen.
        port: the first port that differs.
        first: where on that port the first difference is, (B,H,W,D).
        different: how many elements of that port differ.
        elements: how many it has.
        largest: the largest difference there: LSB for integers, else the value.
        starts_here: whether everything that the node reads is exact, so that the difference
            comes from this node itself.
        note: why a node was not compared.
    """

    name: str
    op: str
    verdict: NodeVerdict
    port: int = 0
    first: tuple[int, ...] = ()
    different: int = 0
    elements: int = 0
    largest: float = 0.0
    starts_here: bool = False
    note: str = ""

    def sentence(self) -> str:
        """The row as text."""
        label = f"{self.name} ({self.op})"
        if self.verdict != NodeVerdict.DIFFERS:
            return f"{label}: {self.verdict.value}{f': {self.note}' if self.note else ''}"
        cause = "starts here" if self.starts_here else "comes from a node before"
        if self.note:
            return f"{label}: {self.note}; {cause}"
        return (
            f"{label}: {self.different} of {self.elements} differ on port {self.port}, first at"
            f" {list(self.first)}, max difference {self.largest:g}; {cause}"
        )


def compare_nodes(
    model: Graph | HasGraph,
    feeds: Feeds,
    library: Library | str | os.PathLike[str] | None = None,
) -> list[NodeRow]:
    """Run a model in the simulator and in the library, and compare every node's raw outputs.

    Args:
        model: a model or its nnlib graph.
        feeds: float32 arrays by input name.
        library: the library or its path; `HEXCONV_LIBRARY` by default. The simulator follows
            its version.

    Returns:
        One row for each node that has outputs, in the order of the graph.

    Raises:
        HexconvError: if either side cannot run the model.
    """
    graph = graph_of(model)
    opened = library if isinstance(library, Library) else Library(library)
    _, real = opened.run(graph, feeds, taps=True)
    _, simulated = simulate(graph, feeds, taps=True, library=opened.version)
    return compare_taps(graph, real, simulated, real.left_out)


def compare_taps(
    graph: Graph,
    real: Mapping[str, Sequence[Array]],
    simulated: Mapping[str, Sequence[Array]],
    left_out: Mapping[str, str],
) -> list[NodeRow]:
    """The rows for given outputs of both sides.

    Args:
        graph: the graph of the nodes.
        real: the library's outputs by node name.
        simulated: the simulator's.
        left_out: nodes that the library could not return, and why.
    """
    differing: set[int] = set()
    rows: list[NodeRow] = []
    for node in graph.nodes:
        if not node.outputs:
            continue
        row = _row(node, real, simulated, left_out)
        inherited = any(ref.node in differing for ref in node.inputs)
        unequal = row.verdict == NodeVerdict.DIFFERS
        if unequal or (row.verdict == NodeVerdict.UNSEEN and inherited):
            differing.add(node.id)
        if unequal and not inherited:
            row = replace(row, starts_here=True)
        rows.append(row)
    return rows


def _row(
    node: Node,
    real: Mapping[str, Sequence[Array]],
    simulated: Mapping[str, Sequence[Array]],
    left_out: Mapping[str, str],
) -> NodeRow:
    if node.name not in real:
        return NodeRow(node.name, node.op, NodeVerdict.UNSEEN, note=left_out.get(node.name, ""))
    if node.name not in simulated:
        note = "the simulator computes it as part of another node"
        return NodeRow(node.name, node.op, NodeVerdict.UNSEEN, note=note)
    pairs = zip(real[node.name], simulated[node.name], strict=True)
    for port, (theirs, ours) in enumerate(pairs):
        if theirs.shape != ours.shape:
            note = f"sizes {theirs.shape} in the library, {ours.shape} in the simulator"
            return NodeRow(node.name, node.op, NodeVerdict.DIFFERS, port, note=note)
        if theirs.tobytes() != ours.tobytes():
            return _difference(node, port, _same_type(theirs, ours), ours)
    return NodeRow(node.name, node.op, NodeVerdict.EXACT)


def _same_type(theirs: Array, ours: Array) -> Array:
    """The library reports only how wide an element is: int32 may be declared as float32."""
    if theirs.dtype.itemsize != ours.dtype.itemsize:
        return theirs
    return theirs.view(ours.dtype)


def _difference(node: Node, port: int, theirs: Array, ours: Array) -> NodeRow:
    unequal = theirs != ours
    distance = np.abs(theirs.astype(np.float64) - ours.astype(np.float64))
    first = np.argwhere(unequal)
    return NodeRow(
        node.name,
        node.op,
        NodeVerdict.DIFFERS,
        port=port,
        first=tuple(int(i) for i in first[0]) if len(first) else (),
        different=int(np.count_nonzero(unequal)),
        elements=theirs.size,
        largest=float(distance.max()) if distance.size else 0.0,
    )


def first_difference(rows: Sequence[NodeRow]) -> NodeRow | None:
    """The first node, in the order of the graph, that differs."""
    return next((row for row in rows if row.verdict == NodeVerdict.DIFFERS), None)
