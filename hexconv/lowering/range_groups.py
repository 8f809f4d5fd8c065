"""Tensors that share a range: solved together, before anything is lowered.

An op that copies its input's range ties output and input; a join (Concat) ties its output to those
inputs that nothing else reads. Every group gets one range that covers all its members. A tensor
that clips at the end of its range joins no group that would widen it, nor does one that is read
elsewhere too: a model output, say, or the input of a Linear.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from hexconv.annotations import notes_of
from hexconv.lowering.needed_ranges import needed_ranges
from hexconv.lowering.registry import LOWERINGS, Tie
from hexconv.onnx_graph import NodeView
from hexconv.onnx_graph.rewrites.match import clip_ends
from hexconv.quantize import Bounds, Range, cover, ending_near

EVERYTHING = (-inf, inf)
WIDER, WIDER_END = 1.25, 1.1
"""By how much a range may grow for the sake of one reader among others: a third of a bit. Of an
input or output, whose own figure it is, 0.8 dB."""
WORTH = {"Clip": 1.25, "Relu": 4.0}
"""How much wider than its result the range of what is clipped may be, so that clipping codes in it
costs a fraction of a bit. A Relu costs nothing where prepare moves it into a convolution."""


@dataclass(eq=False)
class RangeGroup:
    """Tensors of one range.

    Attributes:
        names: of the tensors.
        bounds: what they hold.
        limits: what their range may hold.
        widest: how wide their range may be.
        ties: numbers of the nodes that tie them to each other.
        mixes: whether one of these nodes computes values between those that it reads.
    """

    names: list[str]
    bounds: Bounds
    limits: Bounds = EVERYTHING
    widest: float = inf
    ties: set[int] = field(default_factory=set)
    mixes: bool = False


def solve(
    nodes: Iterable[NodeView], observed: Mapping[str, Bounds], ends: Collection[str] = ()
) -> dict[str, Range]:
    """Static ranges for all values that were observed.

    Args:
        nodes: the float graph's nodes in order.
        observed: (min, max) of each computed value, as calibrated.
        ends: the graph's inputs and outputs, which keep their own ranges.

    Returns:
        A range with an integer zero point for each name; members of one group share it.
    """
    in_order = list(nodes)
    solver = _Solver(in_order, needed_ranges(in_order, observed, ends), ends)
    for number, node in enumerate(solver.nodes):
        solver.tie(number, node)
    ranges: dict[str, Range] = {}
    for group in {id(group): group for group in solver.groups.values()}.values():
        ranges.update(dict.fromkeys(group.names, _range_of(group)))
    return ranges


def clipped_to(node: NodeView) -> Bounds | None:
    """(low, high) that the range of a node's result clips to; None if it does not clip."""
    return notes_of(node.node).saturates


def clip_limits(node: NodeView) -> Bounds | None:
    """(low, high) of a Relu or Clip; None where a bound is computed."""
    if node.op == "Relu":
        return 0.0, inf
    return clip_ends(node.node)


class _Solver:
    """The groups while nodes tie them."""

    def __init__(
        self, nodes: list[NodeView], observed: Mapping[str, Bounds], ends: Collection[str]
    ) -> None:
        self.nodes, self._ends = nodes, frozenset(ends)
        self._readers: dict[str, set[int]] = {}
        for number, node in enumerate(nodes):
            for name in node.inputs:
                self._readers.setdefault(name, set()).add(number)
        limits = {node.outputs[0]: found for node in nodes if (found := clipped_to(node))}
        self.groups = {name: _alone(name, own, limits.get(name)) for name, own in observed.items()}

    def tie(self, number: int, node: NodeView) -> None:
        """Join the groups of a node's inputs and outputs as its lowering says."""
        lowering = LOWERINGS.get(node.op)
        outputs = [name for name in node.outputs if name in self.groups]
        inputs = [name for name in node.inputs if name in self.groups]
        if lowering is None or not outputs or not inputs:
            return
        match lowering.tie:
            case Tie.COPY:
                for output in outputs:
                    self._join(inputs[0], output, number, node)
            case Tie.JOIN:
                for name in inputs:
                    self._share(name, outputs[0], number, node)
            case Tie.PICK:
                for name in inputs:
                    self._narrow(name, outputs[0], number, node)
            case Tie.CLIP:
                self._clip(inputs[0], outputs[0], number, node)

    def _share(self, name: str, output: str, number: int, node: NodeView) -> None:
        """A join: what others need too grows hardly at all, nor does the join on its account."""
        group, result = self.groups[name], self.groups[output]
        if not self._only_for(group, number):
            wider = WIDER if self._ends.isdisjoint(group.names) else WIDER_END
            group.widest = min(group.widest, wider * _width(group.bounds))
            if _width(_around(group.bounds, result.bounds)) > WIDER * _width(result.bounds):
                return
        self._join(name, output, number, node)

    def _narrow(self, name: str, output: str, number: int, node: NodeView) -> None:
        """Of what only this node reads, values outside of its result's range do not matter."""
        group, result = self.groups[name], self.groups[output]
        if group is not result and self._only_for(group, number) and not group.mixes:
            group.bounds = _within(group.bounds, result.bounds)
            self._join(name, output, number, node)

    def _clip(self, name: str, output: str, number: int, node: NodeView) -> None:
        """A Relu or Clip on the codes of its input, or in a range of its own that clips."""
        group, result = self.groups[name], self.groups[output]
        own = clip_limits(node) or EVERYTHING
        limits = _both(group.limits, own)
        if _width(group.bounds) <= WORTH[node.op] * _width(result.bounds) and _inside(
            result.bounds, group.bounds
        ):
            self._join(name, output, number, node)
        elif self._only_for(group, number) and limits[0] < limits[1]:
            self._narrow(name, output, number, node)
            if self.groups[name] is self.groups[output]:
                self.groups[name].limits = limits
        else:
            result.limits = own

    def _only_for(self, group: RangeGroup, number: int) -> bool:
        """Whether a node alone reads the tensors of a group, but for what ties them."""
        inner = group.ties | {number}
        return not any(
            name in self._ends or not self._readers.get(name, inner) <= inner
            for name in group.names
        )

    def _join(self, name: str, output: str, number: int, node: NodeView) -> None:
        """Make two groups one, unless a member would not clip any more, or grow too wide."""
        one, other = self.groups[name], self.groups[output]
        if one is other:
            return
        low, high = _around(one.bounds, other.bounds)
        limits = _both(one.limits, other.limits)
        widest = min(one.widest, other.widest)
        if low < limits[0] or high > limits[1] or _width((low, high)) > widest:
            return
        small, large = sorted((one, other), key=lambda group: len(group.names))
        large.names += small.names
        large.bounds, large.limits, large.widest = (low, high), limits, widest
        large.ties |= small.ties | {number}
        large.mixes |= small.mixes or node.op == "Resize"
        self.groups.update(dict.fromkeys(small.names, large))


def _range_of(group: RangeGroup) -> Range:
    """What holds a group, or ends nearest to what it clips to.

    Of what is 0 throughout, a range that clips where the limits do.
    """
    clips = any(bound == limit for bound, limit in zip(group.bounds, group.limits, strict=True))
    found = ending_near(*group.bounds) if clips else cover(*group.bounds)
    low, high = (max(group.limits[0], -1.0), min(group.limits[1], 1.0))
    if (
        group.bounds == (0.0, 0.0)
        and low < high
        and not _inside((found.min, found.max), group.limits)
    ):
        return cover(low, high)
    return found


def _alone(name: str, bounds: Bounds, limits: Bounds | None) -> RangeGroup:
    if limits is None:
        return RangeGroup([name], bounds)
    # A range file may be wider than what the activation lets through.
    return RangeGroup([name], _within(bounds, limits), limits)


def _both(one: Bounds, other: Bounds) -> Bounds:
    return max(one[0], other[0]), min(one[1], other[1])


def _around(one: Bounds, other: Bounds) -> Bounds:
    return min(one[0], other[0]), max(one[1], other[1])


def _within(bounds: Bounds, limits: Bounds) -> Bounds:
    low, high = (min(max(bound, limits[0]), limits[1]) for bound in bounds)
    return low, high


def _inside(bounds: Bounds, limits: Bounds) -> bool:
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    return low <= bounds[0] and bounds[1] <= high


def _width(bounds: Bounds) -> float:
    """Of the range that holds zero too."""
    return max(bounds[1], 0.0) - min(bounds[0], 0.0)
