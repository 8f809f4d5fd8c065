"""What an exact model says of its nodes beside their inputs: for people, and for viewers."""

from __future__ import annotations

from hexconv.cost import predict
from hexconv.nnlib.graph import Graph, Node
from hexconv.nnlib.ops import catalogue, spec


def describe(graph: Graph, prepared: Graph) -> dict[int, dict[str, str]]:
    """By id of the executed node: its op, its ONNX node, the range it is asked for, v60's packets.

    Args:
        graph: as appended.
        prepared: as executed.
    """
    packets = {node.id: node.packets for node in predict(graph).nodes}
    described: dict[int, dict[str, str]] = {}
    for node in prepared.nodes:
        said = {"nnlib_op": node.op, "id": str(node.id), "padding": str(node.padding)}
        if node.onnx_node:
            said["onnx_node"] = node.onnx_node
        asked = _asked(node, prepared)
        if asked:
            said["range"] = asked
        if packets.get(node.id) is not None:
            said["packets"] = f"{packets[node.id]:.0f}"
        described[node.id] = said
    return described


def _asked(node: Node, graph: Graph) -> str:
    """The output range that a node is asked for, where both ends are consts."""
    if node.op not in catalogue():
        return ""
    consts, count = graph.const_by_id(), len(node.inputs)
    ends = []
    for role in ("out_min", "out_max"):
        position = spec(node.op).position(role, count)
        if position is None or node.inputs[position].node not in consts:
            return ""
        ends.append(f"{consts[node.inputs[position].node].array.flat[0]:.9g}")
    return " .. ".join(ends)
