"""Limits of the library's ops that a node's ranges break."""

from __future__ import annotations

import functools

from hexconv.nnlib.constraints import CONSTRAINTS, RANGE_CONSTRAINTS
from hexconv.nnlib.graph import Node
from hexconv.nnlib.ops import Limit, spec
from hexconv.nnlib.ranges.found import FoundRanges


@functools.cache
def range_limits(op: str) -> tuple[Limit, ...]:
    """The limits of an op that look at ranges."""
    return tuple(limit for limit in spec(op).limits if limit.rule in RANGE_CONSTRAINTS)


def broken_rules(node: Node, found: FoundRanges) -> list[str]:
    """The limits that a node breaks with the ranges that it gets, with their reasons."""
    limits = range_limits(node.op)
    if not limits:
        return []
    site = found.site(node)
    return [
        f"{limit.rule.replace('_', ' ')}: {limit.why} [{limit.ref}]"
        for limit in limits
        if CONSTRAINTS[limit.rule](site)
    ]
