"""The rules by name."""

from __future__ import annotations

from collections.abc import Callable

from hexconv.nnlib.site import NodeSite
from hexconv.registry import Registry

Constraint = Callable[[NodeSite], bool]
CONSTRAINTS: Registry[Constraint] = Registry("constraint")
RANGE_CONSTRAINTS: set[str] = set()
"""Rules that look at ranges: prepare, or a run, may break them."""


def constraint(function: Constraint) -> Constraint:
    """Register a rule under its own name."""
    CONSTRAINTS.add(function.__name__, function)
    return function


def range_constraint(function: Constraint) -> Constraint:
    """Register a rule that looks at ranges."""
    RANGE_CONSTRAINTS.add(function.__name__)
    return constraint(function)
