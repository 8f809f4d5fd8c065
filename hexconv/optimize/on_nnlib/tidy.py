"""After rewriting: remove nodes and consts that nothing reads, renumber as MACE does."""

from __future__ import annotations

from hexconv.nnlib.graph import OUTPUT_PORTS, Graph


def tidied(graph: Graph) -> Graph:
    """The graph without dead nodes and consts, renumbered."""
    keep = {node.id for node in graph.nodes if node.op in OUTPUT_PORTS}
    for node in reversed(graph.nodes):
        if node.id in keep or not node.inputs:
            keep.add(node.id)
            keep.update(ref.node for ref in node.inputs)
    return Graph(
        graph.name,
        [const for const in graph.consts if const.id in keep],
        [node for node in graph.nodes if node.id in keep],
        graph.inputs,
        graph.outputs,
    ).renumbered()
