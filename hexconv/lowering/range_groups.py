"""Tensors that share a range: solved together, before anything is lowered.

An op that copies its input's range ties output and input; a join (Concat) ties its output to those
inputs that nothing else reads. Every group gets one range that covers all its members. A
tensor that clips at the end of its range joins no group that would widen it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from hexconv.lowering.annotations import notes_of
from hexconv.lowering.registry import LOWERINGS, Tie
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Bounds, Range, cover

EVERYTHING = (-inf, inf)


@dataclass
class RangeGroup:
    """Tensors of one range: their names, their values' range, and the limits of their range."""

    names: list[str]
    bounds: Bounds
    limits: Bounds = EVERYTHING


def solve(nodes: Iterable[NodeView], observed: Mapping[str, Bounds]) -> dict[str, Range]:
    """Static ranges for all values that were observed.

    Args:
        nodes: the float graph's nodes in order.
        observed: (min, max) of each computed value, as calibrated.

    Returns:
        A range with an integer zero point for each name; members of one group share it.
    """
    nodes = list(nodes)
    readers = Counter(name for node in nodes for name in node.inputs)
    limits = {node.outputs[0]: limit for node in nodes if (limit := clipped_to(node))}
    groups = {name: _alone(name, bounds, limits.get(name)) for name, bounds in observed.items()}
    for node in nodes:
        for name, other in _tied(node, readers):
            if name in groups and other in groups and groups[name] is not groups[other]:
                _join(groups, groups[name], groups[other])
    ranges: dict[str, Range] = {}
    for group in {id(group): group for group in groups.values()}.values():
        ranges.update(dict.fromkeys(group.names, cover(*group.bounds)))
    return ranges


def clipped_to(node: NodeView) -> Bounds | None:
    """(low, high) that the range of a node's result clips to; None if it does not clip."""
    return notes_of(node.node).saturates


def _alone(name: str, bounds: Bounds, limits: Bounds | None) -> RangeGroup:
    if limits is None:
        return RangeGroup([name], bounds)
    # A range file may be wider than what the activation lets through.
    low, high = (min(max(bound, limits[0]), limits[1]) for bound in bounds)
    return RangeGroup([name], (low, high), limits)


def _join(groups: dict[str, RangeGroup], one: RangeGroup, other: RangeGroup) -> None:
    """Merge two groups, unless a member would no longer clip."""
    low, high = min(one.bounds[0], other.bounds[0]), max(one.bounds[1], other.bounds[1])
    limits = max(one.limits[0], other.limits[0]), min(one.limits[1], other.limits[1])
    if low < limits[0] or high > limits[1]:
        return
    small, large = sorted((one, other), key=lambda group: len(group.names))
    large.names += small.names
    large.bounds, large.limits = (low, high), limits
    groups.update(dict.fromkeys(small.names, large))


def _tied(node: NodeView, readers: Mapping[str, int]) -> list[tuple[str, str]]:
    lowering = LOWERINGS.get(node.op)
    if lowering is None or lowering.tie is Tie.FREE:
        return []
    outputs = [name for name in node.outputs if name]
    if lowering.tie is Tie.COPY:
        return [(node.inputs[0], output) for output in outputs]
    return [(name, outputs[0]) for name in node.inputs if readers[name] == 1]
