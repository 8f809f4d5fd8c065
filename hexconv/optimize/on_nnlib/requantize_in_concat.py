"""A requantize before a Concat, which rescales its operands to one range by itself."""

from __future__ import annotations

from dataclasses import replace

from hexconv.nnlib.graph import Graph, Ref
from hexconv.optimize.on_nnlib.requantize_once import limits, requests
from hexconv.optimize.registry import Stage, rewrite

CONCAT, REQUANTIZE = "QuantizedConcat_8", "Requantize_8to8"


@rewrite(Stage.NNLIB)
def requantize_in_concat(graph: Graph) -> int:
    """Requantize_8to8 before a Concat is removed: the Concat rescales its operands by itself."""
    nodes, consts = graph.node_by_id(), graph.const_by_id()

    def asked(ref: Ref) -> tuple[float, float] | None:
        """The requested range of a tensor."""
        node = nodes.get(ref.node)
        return limits(node, consts) if node is not None and requests(node) else None

    count = 0
    for position, node in enumerate(graph.nodes):
        if node.op != CONCAT:
            continue
        inputs = list(node.inputs)
        parts = (len(inputs) - 1) // 3
        before = [nodes.get(ref.node) for ref in inputs[1 : 1 + parts]]
        spans = [asked(ref) for ref in inputs[1 : 1 + parts]]
        kept = {
            value_range
            for value_range, one in zip(spans, before, strict=True)
            if one is None or one.op != REQUANTIZE
        }
        for part, (value_range, one) in enumerate(zip(spans, before, strict=True)):
            if (
                one is None
                or one.op != REQUANTIZE
                or value_range is None
                or value_range not in kept
            ):
                continue
            # Kept operands define the range; direct ones must not widen it.
            own = asked(one.inputs[0])
            if own is not None and value_range[0] <= own[0] and own[1] <= value_range[1]:
                inputs[1 + part :: parts] = one.inputs[:3]
                count += 1
        graph.nodes[position] = replace(node, inputs=tuple(inputs))
    return count
