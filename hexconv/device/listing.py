"""The library's own list of a graph's nodes (`hexagon_nn_snpprint`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hexconv.device.job import NODE_BASE
from hexconv.nnlib.graph import Graph

_NODE = re.compile(r"^node @ \S+ id=0x([0-9a-f]+) type=0x[0-9a-f]+\((\S+)\)", re.MULTILINE)


@dataclass(frozen=True)
class Listed:
    """One node in the library's graph; `id` is the graph's, negative for one of prepare's."""

    id: int
    op: str

    @property
    def made_by_prepare(self) -> bool:
        """Whether prepare inserted the node."""
        return self.id < 0


def parse_listing(text: str) -> list[Listed]:
    """The op nodes of a listing, in order (after prepare: the order of execution).

    Ids of nodes that prepare inserted, which count down from 2^32 - 1, become -1, -2, ...
    """
    nodes = []
    for match in _NODE.finditer(text):
        number = int(match.group(1), 16)
        made = number >= 1 << 31
        if match.group(2) != "Const":
            nodes.append(Listed(number - (1 << 32) if made else number - NODE_BASE, match.group(2)))
    return nodes


def listing_name(graph: Graph, node: Listed) -> str:
    """The name of a listed node: its own, or its op if prepare inserted it."""
    own = graph.node_by_id().get(node.id)
    return own.name if own else node.op


def show_listing(graph: Graph, nodes: list[Listed]) -> list[tuple[str, str]]:
    """(name, op) of each node, in order."""
    return [(listing_name(graph, node), node.op) for node in nodes]
