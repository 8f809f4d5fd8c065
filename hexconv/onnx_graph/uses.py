"""What a value is used for, directly and behind nodes that only move or combine it."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

Predicate = Callable[[ir.Node, int], bool]
"""About a node that reads a value, and the position of the value among its inputs."""


def leads_only_to(
    value: ir.Value,
    ends: Predicate,
    through: Predicate,
    *,
    or_output: bool = False,
) -> bool:
    """Whether a value is used for nothing else.

    Args:
        value: whose uses are followed, each once.
        ends: whether a use is one of those.
        through: whether what a node computes is followed as well, by the use that reaches it.
        or_output: whether what is followed may be an output of the model.
    """
    pending, seen = [value], {value}
    while pending:
        current = pending.pop()
        if current.is_graph_output() and not or_output:
            return False
        for use in current.uses():
            if ends(use.node, use.idx):
                continue
            if not through(use.node, use.idx):
                return False
            fresh = [output for output in use.node.outputs if output not in seen]
            seen.update(fresh)
            pending += fresh
    return True
