"""Whether rewriting a graph kept the factor by which each tensor is read.

A reader may be given limits that are a multiple of the range that a tensor has: its codes count
times a constant. What only moves or requantizes codes may come and go between the two; the product
of the factors on the way may not change.
"""

from __future__ import annotations

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Graph, Node
from hexconv.nnlib.ops import RangeRule, spec
from hexconv.nnlib.ranges.found import FoundRanges
from hexconv.nnlib.ranges.operands import ranged_inputs
from hexconv.nnlib.ranges.scale import CLOSE, scale_of

REQUANTIZE = "Requantize_8to8"

Place = tuple[int, int]
"""A reader's id, and the position of its input."""
Scales = dict[Place, tuple[int, float]]
"""By place, the node that computes what is read there, and what its values are multiplied by."""


def scales_of(graph: Graph) -> Scales:
    """The factor at which each node reads what others compute."""
    found = FoundRanges.of(graph)
    known: Scales = {}
    made: dict[int, tuple[int, float]] = {}
    for node in graph.nodes:
        for item in ranged_inputs(node.op, len(node.inputs)):
            ref = node.inputs[item.data]
            own = found.ends.get(ref)
            read = (found.bound(node.inputs[item.low]), found.bound(node.inputs[item.high]))
            scale = 1.0 if own is None else scale_of(own, read)
            source, before = made.get(ref.node, (ref.node, 1.0))
            if scale is not None:
                known[node.id, item.data] = source, before * scale
        if _passes_on(node):
            ref = node.inputs[ranged_inputs(node.op, len(node.inputs))[0].data]
            made[node.id] = known.get((node.id, _first(node)), (ref.node, 1.0))
    return known


def check_scales(before: Scales, graph: Graph) -> None:
    """Refuse a rewritten graph in which something is read at another factor than before.

    Args:
        before: of the graph as it was lowered.
        graph: rewritten, nodes that stayed under their ids.

    Raises:
        GraphError: naming both nodes.
    """
    nodes = graph.node_by_id()
    for place, (source, scale) in scales_of(graph).items():
        old = before.get(place)
        if old is None or old[0] != source or source not in nodes:
            continue
        if abs(scale / old[1] - 1.0) > CLOSE:
            reader, maker = nodes[place[0]], nodes[source]
            raise GraphError(
                f"'{reader.name}' ({reader.op}) reads '{maker.name}' ({maker.op}) times "
                f"{scale:.6g}, and was built to read it times {old[1]:.6g}",
                why="a rewrite of the graph lost the factor",
                hint="this is a fault of hexconv; --optimize none avoids it",
            )


def _passes_on(node: Node) -> bool:
    """Whether a node's values are those that it reads."""
    inputs = len(node.inputs)
    if not ranged_inputs(node.op, inputs):
        return False
    return node.op == REQUANTIZE or spec(node.op).rule_of(inputs) is RangeRule.COPIED


def _first(node: Node) -> int:
    return ranged_inputs(node.op, len(node.inputs))[0].data
