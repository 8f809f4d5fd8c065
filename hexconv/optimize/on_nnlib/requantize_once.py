"""A requantize after a node that could have used that range itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hexconv.nnlib.graph import Const, Graph, Node, Ref
from hexconv.nnlib.ops import spec
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize.ranges import LEVELS

PORTS = 3
LIMITS = 2
"""Requantize_8to8 and every op with a requested range end with (out_min, out_max)."""


@rewrite(Stage.NNLIB)
def requantize_once(graph: Graph) -> int:
    """Requantize_8to8 after its only producer is removed: the range is requested there."""
    readers = graph.consumers()
    nodes = {node.id: node for node in graph.nodes}
    consts = graph.const_by_id()
    removed: dict[int, int] = {}
    for node in graph.nodes:
        if node.op != "Requantize_8to8":
            continue
        producer = nodes.get(node.inputs[0].node)
        if producer is None or not requests(producer) or not _feeds_only(producer, node, readers):
            continue
        if not _inside(limits(node, consts), limits(producer, consts)):
            continue
        nodes[producer.id] = replace(
            producer,
            inputs=(*producer.inputs[:-LIMITS], *node.inputs[-LIMITS:]),
            origin=node.origin or producer.origin,
        )
        removed[node.id] = producer.id
    graph.nodes[:] = [
        replace(
            nodes[node.id],
            inputs=tuple(
                Ref(removed[ref.node], ref.port) if ref.node in removed else ref
                for ref in nodes[node.id].inputs
            ),
        )
        for node in graph.nodes
        if node.id not in removed
    ]
    return len(removed)


def requests(node: Node) -> bool:
    """Whether a node takes its output range as its last two inputs, and supports any."""
    if node.keeps_range:
        return False
    known = spec(node.op)
    if not known.rule_of(len(node.inputs)).requested or node.outputs[0].dtype != "uint8":
        return False
    return [operand.role for operand in known.roles(len(node.inputs))][-LIMITS:] == [
        "out_min",
        "out_max",
    ]


def limits(node: Node, consts: Mapping[int, Const]) -> tuple[float, float]:
    low, high = (float(consts[ref.node].array.flat[0]) for ref in node.inputs[-LIMITS:])
    return low, high


def _inside(wanted: tuple[float, float], given: tuple[float, float]) -> bool:
    """Whether one range is inside the other, up to half an LSB.

    Where it is not, the end of the producer's range may be what clips (a fused Relu).
    """
    slack = 0.5 * (wanted[1] - wanted[0]) / LEVELS
    return given[0] - slack <= wanted[0] and wanted[1] <= given[1] + slack


def _feeds_only(producer: Node, node: Node, readers: dict[Ref, list[tuple[Node, int]]]) -> bool:
    found = [
        reader.id for port in range(PORTS) for reader, _ in readers.get(Ref(producer.id, port), [])
    ]
    return bool(found) and set(found) == {node.id}
