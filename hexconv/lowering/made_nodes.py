"""Which node of a float graph each nnlib node of its conversion belongs to, fusions included."""

from __future__ import annotations

from dataclasses import dataclass, field

from hexconv.nnlib.graph import ENDS, Graph
from hexconv.nnlib.graph import Node as NnlibNode
from hexconv.onnx_graph import FloatGraph


@dataclass
class MadeNodes:
    """What the nodes of a float graph became.

    Attributes:
        ops: nnlib ops in order, by name of the ONNX node.
        within: of a node that has none of its own, the one that computes it as well.
    """

    ops: dict[str, list[str]] = field(default_factory=dict)
    within: dict[str, str] = field(default_factory=dict)


def made_nodes(graph: FloatGraph, converted: Graph) -> MadeNodes:
    """Assign every nnlib node but the two of the interface to one node of the float graph.

    A node belongs to the ONNX node that it was lowered from, or that computes its tensor; one that
    a fusion made, to its first reader's.

    Args:
        graph: as it was before fusions.
        converted: its conversion.
    """
    producer = {str(out.name): str(node.name) for node in graph.nodes for out in node.outputs}
    known = set(producer.values())
    readers = {ref.node: node.id for node in reversed(converted.nodes) for ref in node.inputs}
    owner: dict[int, str] = {}
    for node in reversed(converted.nodes):
        named = node.onnx_node if node.onnx_node in known else producer.get(_tensor(node), "")
        owner[node.id] = named or owner.get(readers.get(node.id, -1), "")
    found = MadeNodes()
    computed: dict[str, str] = {}
    for node in converted.nodes:
        name = owner[node.id]
        if node.op in ENDS or not name:
            continue
        found.ops.setdefault(name, []).append(node.op)
        if node.origin is not None:
            computed[node.origin.tensor] = name
    _find_fused(graph, found, computed)
    return found


def _tensor(node: NnlibNode) -> str:
    return "" if node.origin is None else node.origin.tensor


def _find_fused(graph: FloatGraph, found: MadeNodes, computed: dict[str, str]) -> None:
    """A node whose tensor nothing computes by itself is part of what reads the tensor."""
    for node in reversed(list(graph.nodes)):
        name = str(node.name)
        if name in found.ops:
            continue
        outputs = [str(value.name) for value in node.outputs]
        holders = [computed[output] for output in outputs if output in computed]
        for value in node.outputs:
            for reader, _ in value.uses():
                other = str(reader.name)
                holders.append(other if other in found.ops else found.within.get(other, ""))
        if holder := next(filter(None, holders), ""):
            found.within[name] = holder
