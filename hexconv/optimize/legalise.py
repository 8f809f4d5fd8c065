"""Put right what prepare would make wrong: always, at every level of optimization."""

from __future__ import annotations

from dataclasses import replace

from hexconv.lowering.builder import MINMAX
from hexconv.nnlib.graph import Graph, Node, Output, Ref
from hexconv.nnlib.prepare import trace
from hexconv.nnlib.prepare.left_padding import DEPTHWISE, shifted
from hexconv.optimize.on_nnlib.edit import Editor

ROUNDS = 8


def legalise(graph: Graph) -> int:
    """Part depthwise convolutions from the nodes that would misread their d32 rows.

    A reshape to the same shape runs flat, so the library unpacks the rows and packs them anew,
    with the room on the left that every node expects (nnlib/prepare/left_padding).

    Returns:
        How many reshapes were put in.
    """
    if not any(f"{node.op}_d32" in DEPTHWISE for node in graph.nodes):
        return 0
    count = 0
    for _ in range(ROUNDS):
        prepared = trace(graph)
        wrong = {node.id for node, _ in shifted(prepared.graph)}
        victims = [node for node in graph.nodes if prepared.holder(node.id) in wrong]
        if not victims:
            break
        for node in victims:
            _unshift(graph, node)
            count += 1
    return count


def _unshift(graph: Graph, node: Node) -> None:
    editor = Editor(graph)
    data = node.inputs[0]
    shape = editor.shape(data)
    low, high = Ref(data.node, 1), Ref(data.node, 2)
    target = editor.add_ints(f"{node.name}/flat_shape", shape)
    flat = Node(
        id=editor.new_id(),
        name=editor.unique(f"{node.name}/flat"),
        op="QuantizedReshape",
        inputs=(data, target, low, high),
        outputs=(Output(shape, "uint8"), *MINMAX),
        onnx_node=node.onnx_node,
    )
    place = graph.nodes.index(node)
    inputs = tuple(Ref(flat.id) if ref == data else ref for ref in node.inputs)
    graph.nodes[place : place + 1] = [flat, replace(node, inputs=inputs)]
