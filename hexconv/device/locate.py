"""Find the node that failed, when the library does not report it itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hexconv.device.listing import parse_listing
from hexconv.device.logs import node_label
from hexconv.device.records import Progress, RunStage
from hexconv.nnlib.graph import FLOAT_OUTPUT_OP, OUTPUT_PORTS, Graph, Node, Ref

Prepares = Callable[[Graph], bool]
SINK_OPS = (*OUTPUT_PORTS, "Sink")


def executing(graph: Graph, progress: Progress, listing: str) -> str:
    """The node that was being executed when the process ended, or "".

    The library reads its clock before and after each node, in the order of the listing.
    """
    nodes = parse_listing(listing)
    index = (progress.clock_reads - 1) // 2
    if progress.stage != RunStage.EXECUTE or progress.clock_reads % 2 == 0 or index >= len(nodes):
        return ""
    own = next((node for node in nodes[index:] if not node.made_by_prepare), None)
    label = node_label(graph, own.id) if own else "the end"
    if own is nodes[index]:
        return label
    return f"{nodes[index].op}, which prepare inserted before {label}"


def first_unprepared(graph: Graph, prepares: Prepares) -> str:
    """The first node with which the graph no longer prepares, or "" if no single node causes it.

    Args:
        graph: a graph that the library cannot prepare.
        prepares: tries one graph.
    """
    nodes = [node for node in graph.nodes if node.op not in SINK_OPS]
    good, bad = 0, len(nodes)
    if prepares(_prefix(graph, nodes)):
        return ""
    while bad - good > 1:
        middle = (good + bad) // 2
        if prepares(_prefix(graph, nodes[:middle])):
            good = middle
        else:
            bad = middle
    return node_label(graph, nodes[bad - 1].id)


def _prefix(graph: Graph, nodes: list[Node]) -> Graph:
    """The graph up to some node; what nothing reads any more becomes its output."""
    read = {ref for node in nodes for ref in node.inputs}
    open_ends = tuple(
        Ref(node.id, port)
        for node in nodes
        for port in range(len(node.outputs))
        if Ref(node.id, port) not in read
    )
    used = {ref.node for ref in read}
    end = max([*(n.id for n in graph.nodes), *(c.id for c in graph.consts)]) + 1
    output = Node(end, "output", FLOAT_OUTPUT_OP, open_ends, ())
    consts = [const for const in graph.consts if const.id in used]
    return replace(graph, consts=consts, nodes=[*nodes, output])
