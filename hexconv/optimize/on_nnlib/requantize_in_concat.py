"""A requantize before a Concat, which rescales its operands to one range by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hexconv.nnlib.graph import Graph, Node, Ref
from hexconv.nnlib.ranges.found import Ends, FoundRanges
from hexconv.nnlib.ranges.operands import RangedOperand, ranged_inputs
from hexconv.optimize.registry import Stage, rewrite

CONCAT, REQUANTIZE = "QuantizedConcat_8", "Requantize_8to8"


@rewrite(Stage.NNLIB)
def requantize_in_concat(graph: Graph) -> int:
    """Requantize_8to8 before a Concat is removed: the Concat rescales its operands by itself."""
    nodes, found = graph.node_by_id(), FoundRanges.of(graph)
    count = 0
    for position, node in enumerate(graph.nodes):
        if node.op == CONCAT:
            changed = _direct(node, nodes, found)
            count += sum(old != new for old, new in zip(node.inputs, changed, strict=True)) // 3
            graph.nodes[position] = replace(node, inputs=changed)
    return count


def _direct(node: Node, nodes: dict[int, Node], found: FoundRanges) -> tuple[Ref, ...]:
    """The inputs of a Concat that reads what is before the requantizes, where it may."""
    inputs = list(node.inputs)
    parts = ranged_inputs(node.op, len(inputs))
    before = [nodes.get(inputs[part.data].node) for part in parts]
    ranges = [_read(inputs[part.low], inputs[part.high], found) for part in parts]
    kept = {
        value_range
        for value_range, one in zip(ranges, before, strict=True)
        if one is None or one.op != REQUANTIZE
    }
    for part, value_range, one in zip(parts, ranges, before, strict=True):
        if one is None or one.op != REQUANTIZE or value_range not in kept:
            continue
        data, low, high = one.inputs[:3]
        own = ranged_inputs(one.op, len(one.inputs))[0]
        if not (_in_own_range(one.inputs, own) and _in_own_range(inputs, part)):
            # Codes times a constant: the Concat would round them once more, and not to the nearest.
            continue
        # What is kept holds the range up; what comes directly must not widen it.
        if _inside(_read(low, high, found), value_range):
            inputs[part.data], inputs[part.low], inputs[part.high] = data, low, high
    return tuple(inputs)


def _in_own_range(inputs: Sequence[Ref], part: RangedOperand) -> bool:
    """Whether an input is read in the range that its node gives it."""
    return inputs[part.data].node == inputs[part.low].node == inputs[part.high].node


def _read(low: Ref, high: Ref, found: FoundRanges) -> Ends:
    return found.bound(low), found.bound(high)


def _inside(ends: Ends, outer: Ends) -> bool:
    """Whether a known range lies in another."""
    low, high, least, most = *ends, *outer
    if not (isinstance(low, float) and isinstance(high, float)):
        return False
    return isinstance(least, float) and isinstance(most, float) and least <= low and high <= most
