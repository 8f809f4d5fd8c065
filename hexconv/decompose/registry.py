"""Decomposition rules by ONNX op, and the pass that applies them until none applies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.build import Builder
from hexconv.onnx_graph.tidy import remove_dead

# What replaces the node's outputs (None for one that nothing reads); None where the rule does not
# apply.
Rule = Callable[[ir.Node, Builder], Sequence[ir.Value | None] | None]
RULES: dict[str, Rule] = {}


def decomposes(*op_types: str) -> Callable[[Rule], Rule]:
    """Register a rule for nodes of `op_types`; registering an op twice is an error."""

    def register(rule: Rule) -> Rule:
        for op_type in op_types:
            if op_type in RULES:
                raise ValueError(f"two decompositions of {op_type}")
            RULES[op_type] = rule
        return rule

    return register


def decompose(graph: FloatGraph, spare: Collection[ir.Node] = ()) -> dict[str, int]:
    """Apply the rules to every node, those that come into being included.

    Args:
        graph: changed in place.
        spare: nodes to leave as they are.

    Returns:
        How many nodes of each op were decomposed.
    """
    builder = Builder(graph.graph)
    counts: Counter[str] = Counter()
    queue = [node for node in graph.nodes if node.op_type in RULES and node not in spare]
    while queue:
        node = queue.pop()
        values = RULES[node.op_type](node, builder.at(node))
        if values is None:
            continue
        builder.replace(node, values)
        counts[node.op_type] += 1
        queue += [made for made in builder.made if made.op_type in RULES]
    remove_dead(graph.graph)
    return dict(sorted(counts.items()))
