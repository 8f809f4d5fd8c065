"""Constants of equal bytes are stored once: an unrolled recurrence reads its weights in each step.

The library's nodes keep what they make of a constant, so that one may have any number of readers;
MACE passes each constant of the file once.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from hashlib import sha256

from hexconv.nnlib.graph import Const, Graph, Ref


def with_shared_consts(graph: Graph) -> Graph:
    """The graph with one constant where several have the same bytes, type, shape and range.

    It comes after the refinement of weights, which may round them differently for each reader.
    """
    first: dict[Hashable, int] = {}
    stays = {const.id: first.setdefault(_key(const), const.id) for const in graph.consts}
    if len(first) == len(graph.consts):
        return graph
    nodes = [
        replace(node, inputs=tuple(Ref(stays.get(r.node, r.node), r.port) for r in node.inputs))
        for node in graph.nodes
    ]
    consts = [const for const in graph.consts if stays[const.id] == const.id]
    return Graph(graph.name, consts, nodes, graph.inputs, graph.outputs).renumbered()


def _key(const: Const) -> Hashable:
    """What equal constants have in common; of one that only has a shape, that."""
    content = b"" if const.shape_only else sha256(const.array.tobytes()).digest()
    kind = (const.array.dtype.str, const.array.shape, const.range, const.shape_only)
    return (*kind, content)
