"""Limits of the library's ops that a node's ranges break."""

from __future__ import annotations

import functools

from hexconv.nnlib.constraints import CONSTRAINTS, RANGE_CONSTRAINTS
from hexconv.nnlib.ops import Limit, spec
from hexconv.nnlib.site import NodeSite


@functools.cache
def range_limits(op: str) -> tuple[Limit, ...]:
    """The limits of an op that look at ranges."""
    return tuple(limit for limit in spec(op).limits if limit.rule in RANGE_CONSTRAINTS)


def broken_rules(site: NodeSite) -> list[str]:
    """The limits that a node breaks with the ranges that it gets, with their reasons."""
    return [
        f"{limit.rule.replace('_', ' ')}: {limit.why} [{limit.ref}]"
        for limit in range_limits(site.node.op)
        if CONSTRAINTS[limit.rule](site)
    ]
