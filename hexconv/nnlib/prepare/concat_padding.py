"""A known library defect: a d32 Concat of one row leaves no room above and below it.

A window reads padding around its data. QuantizedConcat_8_d32 of height 1 allocates none in that
direction, and the convolution or pool behind it fails to execute ("insufficient H padding");
of height 2 and more it does. Measured on the v60 library, for every window op.
"""

from __future__ import annotations

from collections.abc import Iterator

from hexconv.nnlib.graph import Graph, Node

CONCAT = "QuantizedConcat_8_d32"
KERNELS = {
    "DepthwiseSupernode_8x8p8to8_d32",
    "DepthwiseSupernode_8x8p32to8_d32",
    "Supernode_8x8p8to8_d32",
    "Supernode_8x8p32to8_d32",
}
"""Ops with a kernel, whose shape is that of the second input: (H, W, in, out)."""
POOLS = {"QuantizedMaxPool_8_d32", "QuantizedAvgPool_8_d32"}


def readers_of_one_row(graph: Graph) -> Iterator[Node]:
    """Nodes of an executed graph with a window on the Concat of one row."""
    joined = {
        node.id for node in graph.nodes if node.op == CONCAT and node.outputs[0].shape[1] == 1
    }
    if not joined:
        return
    consts = {const.id: const.array.shape for const in graph.consts}
    for node in graph.nodes:
        if not node.inputs or node.inputs[0].node not in joined:
            continue
        kernel = consts.get(node.inputs[1].node, (1, 1)) if node.op in KERNELS else (1, 1)
        if node.op in POOLS or tuple(kernel[:2]) != (1, 1):
            yield node
