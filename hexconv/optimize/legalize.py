"""Correct graphs that prepare would break: always, at every level of optimization."""

from __future__ import annotations

from dataclasses import replace

from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder
from hexconv.nnlib.graph import Graph, Node, Output, Ref
from hexconv.nnlib.prepare import trace
from hexconv.nnlib.prepare.left_padding import DEPTHWISE, shifted

ROUNDS = 8


def legalize(graph: Graph) -> int:
    """Separate depthwise convolutions from the nodes that would misread their d32 rows.

    A reshape to the same shape runs flat, so the library unpacks the rows and packs them again,
    with the left padding that every node expects (nnlib/prepare/left_padding).

    Returns:
        The number of reshapes inserted.
    """
    if not any(f"{node.op}_d32" in DEPTHWISE for node in graph.nodes):
        return 0
    count = 0
    for _ in range(ROUNDS):
        misread_nodes = _misread_nodes(graph)
        if not misread_nodes:
            break
        builder = Builder.on(graph)
        nodes: list[Node] = []
        for node in graph.nodes:
            nodes += _unshifted(node, builder) if node.id in misread_nodes else [node]
        graph.nodes[:] = nodes
        count += len(misread_nodes)
    return count


def _misread_nodes(graph: Graph) -> set[int]:
    """Nodes that would read shifted rows; of fused ones the first, which is the reader."""
    prepared = trace(graph)
    wrong = {node.id for node, _ in shifted(prepared.graph)}
    holders = {node.id: prepared.holder(node.id) for node in graph.nodes}
    return {
        node.id
        for node in graph.nodes
        if holders[node.id] in wrong and holders.get(node.inputs[0].node) != holders[node.id]
    }


def _unshifted(node: Node, builder: Builder) -> list[Node]:
    """A reshape to the same shape, and the node that reads it."""
    data = node.inputs[0]
    shape = builder.shape(data)
    target = builder.ints(f"{node.name}/flat_shape", shape)
    flat = builder.new_node(
        "QuantizedReshape",
        (data, target, Ref(data.node, 1), Ref(data.node, 2)),
        (Output(shape, "uint8"), *RANGE_OUTPUTS),
        name=f"{node.name}/flat",
        onnx_node=node.onnx_node,
    )
    inputs = tuple(Ref(flat.id) if ref == data else ref for ref in node.inputs)
    return [flat, replace(node, inputs=inputs)]
