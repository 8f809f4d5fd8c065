"""Merge and split heads in one node.

[B,H,T,d] to [B,1,T,H*d] is a Transpose and a Reshape, two copies of everything; SpaceToDepth with
blocks of H x 1 is the same move as one. The reverse is DepthToSpace, where the library leaves it
flat: its d32 form needs a conversion that costs more than all the rest.
"""

from __future__ import annotations

from dataclasses import replace

from hexconv.nnlib.builder import Builder
from hexconv.nnlib.graph import Graph, Node, Ref
from hexconv.optimize.registry import Stage, rewrite

TRANSPOSE, RESHAPE = "Transpose_8", "QuantizedReshape"
ROWS_FIRST = [0, 2, 1, 3]
LANES = 32
NARROW = 32
"""Heads up to this width are cheaper to split by a Transpose (`hexconv device profile`)."""


@rewrite(Stage.NNLIB)
def block_moves(graph: Graph) -> int:
    """A Transpose and a Reshape that merge or split heads are one SpaceToDepth or DepthToSpace."""
    builder = Builder.on(graph)
    nodes = graph.node_by_id()
    readers = graph.consumers()
    removed: set[int] = set()
    for node in graph.nodes:
        first = nodes.get(node.inputs[0].node) if node.inputs else None
        if first is None or {other.id for other in _read(first, readers)} != {node.id}:
            continue
        block = _merged(first, node, builder) or _parted(first, node, builder)
        if block is None or first.id in removed:
            continue
        op, heads = block
        data, _, low, high = first.inputs
        size = builder.ints(f"{node.name}/block", [heads, 1])
        nodes[node.id] = replace(node, op=op, inputs=(data, size, low, high))
        removed.add(first.id)
    graph.nodes[:] = [nodes[node.id] for node in graph.nodes if node.id not in removed]
    return len(removed)


def _read(node: Node, readers: dict[Ref, list[tuple[Node, int]]]) -> list[Node]:
    ports = range(len(node.outputs))
    return [reader for port in ports for reader, _ in readers.get(Ref(node.id, port), [])]


def _merged(first: Node, last: Node, builder: Builder) -> tuple[str, int] | None:
    """[B,H,T,d] transposed to [B,T,H,d] and reshaped to [B,1,T,H*d]."""
    if (first.op, last.op) != (TRANSPOSE, RESHAPE) or not _rows_first(first, builder):
        return None
    batch, heads, rows, width = builder.shape(first.inputs[0])
    wanted = (batch, 1, rows, heads * width)
    return ("SpaceToDepth_8", heads) if last.outputs[0].shape == wanted else None


def _parted(first: Node, last: Node, builder: Builder) -> tuple[str, int] | None:
    """[B,1,T,H*d] reshaped to [B,T,H,d] and transposed to [B,H,T,d]."""
    if (first.op, last.op) != (RESHAPE, TRANSPOSE) or not _rows_first(last, builder):
        return None
    batch, heads, rows, width = last.outputs[0].shape
    if builder.shape(first.inputs[0]) != (batch, 1, rows, heads * width):
        return None
    flat = width % LANES != 0 and width > NARROW
    return ("DepthToSpace_8", heads) if flat else None


def _rows_first(transpose: Node, builder: Builder) -> bool:
    perm = builder.values(transpose.inputs[1])
    return perm is not None and perm.reshape(-1).tolist() == ROWS_FIRST
