"""The range that the library gives each tensor, as far as it is known before a run.

An end of a range is a number, or the port whose number only a run can tell: the minimum and the
maximum of a model input, and what ops without a requested range find in their data. Ops that copy
their input's range pass both kinds on, so that two tensors with one range have equal ends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from math import isfinite, sqrt

from hexconv.nnlib.graph import Const, Graph, Node, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.ops import RangeRule, spec
from hexconv.nnlib.ranges.operands import RangedOperand, ranged_inputs, ranged_outputs
from hexconv.nnlib.site import NodeSite

Bound = float | Ref
"""An end of a range: a number, or the port that gives it in each run."""
Ends = tuple[Bound, Bound]

INT32 = 2.0**31
LEVELS = 255


class FoundRanges:
    """The ranges of a graph's tensors, found node by node in the order of execution.

    Args:
        consts: of the graph.

    Attributes:
        scalars: the minima and maxima that are numbers.
        ends: both ends of the range of each quantized tensor; of a const those that it was
            quantized in, where the graph says so.
        shapes: B, H, W, D of every tensor.
    """

    def __init__(self, consts: Iterable[Const]) -> None:
        self._consts: dict[int, Const] = {}
        self.scalars: dict[Ref, float] = {}
        self.ends: dict[Ref, Ends] = {}
        self.shapes: dict[Ref, Shape4] = {}
        self._same: dict[Ref, Ref] = {}
        for const in consts:
            self.add_const(const)

    @classmethod
    def of(cls, graph: Graph) -> FoundRanges:
        """The ranges of a whole graph."""
        found = cls(graph.consts)
        for node in graph.nodes:
            found.visit(node)
        return found

    def assuming(self, nodes: Iterable[Node]) -> FoundRanges:
        """What some nodes need, which may be visited anew once `scalars` has what a run tells.

        Of the rest nothing is known.
        """
        other = copy(self)
        read = {ref for node in nodes for ref in node.inputs}
        other.scalars = {ref: self.scalars[ref] for ref in read if ref in self.scalars}
        other.ends, other._same = {}, {}
        return other

    def add_const(self, const: Const) -> None:
        """One more const, that a rewrite made."""
        ref, array = Ref(const.id), const.array
        self._consts[const.id] = const
        self.shapes[ref] = array.shape
        if const.range is not None:
            self.ends[ref] = const.range
        if array.size == 1 and array.dtype.char == "f" and not const.shape_only:
            self.scalars[ref] = float(array.flat[0])

    def bound(self, ref: Ref) -> Bound:
        """A minimum or maximum: its number, or the port that gives it."""
        number = self.scalars.get(ref)
        return self._same.get(ref, ref) if number is None else number

    def site(self, node: Node) -> NodeSite:
        """A node with what is known of its inputs, which have been visited."""
        return NodeSite(
            node=node,
            spec=spec(node.op),
            shapes=tuple(self.shapes[ref] for ref in node.inputs),
            consts=tuple(self._consts.get(ref.node) for ref in node.inputs),
            scalars=self.scalars,
        )

    def visit(self, node: Node) -> None:
        """Find the shapes and the ranges of a node's outputs."""
        for port, output in enumerate(node.outputs):
            self.shapes[Ref(node.id, port)] = output.shape
        self.find_ranges(node)

    def find_ranges(self, node: Node) -> None:
        """Find the ranges of a node's outputs, anew where `scalars` has changed."""
        plan = plan_of(node.op, len(node.inputs), len(node.outputs))
        if plan.like is not None:
            ends = self.ends.get(node.inputs[plan.like])
            if ends is not None:
                self.ends[Ref(node.id)] = ends
            return
        if not plan.results:
            return
        first = plan.results[0]
        low, high = Ref(node.id, first.low), Ref(node.id, first.high)
        if plan.fixed is not None:
            self.scalars[low], self.scalars[high] = plan.fixed
        elif plan.asked is not None:
            self._request(node.inputs[plan.asked[0]], node.inputs[plan.asked[1]], low, high)
        elif plan.source is not None:
            self._pass_on(node.inputs[plan.source[0]], low)
            self._pass_on(node.inputs[plan.source[1]], high)
        elif plan.numbers is not None:
            known = plan.numbers(self.site(node))
            if known is not None:
                self.scalars[low], self.scalars[high] = known
        for item in plan.results:
            ends = (self.bound(Ref(node.id, item.low)), self.bound(Ref(node.id, item.high)))
            self.ends[Ref(node.id, item.data)] = ends

    def _request(self, low: Ref, high: Ref, low_port: Ref, high_port: Ref) -> None:
        """Infinite ends ask the library to find them."""
        bottom, top = self.scalars.get(low), self.scalars.get(high)
        if bottom is not None and top is not None and isfinite(bottom) and isfinite(top):
            self.scalars[low_port], self.scalars[high_port] = bottom, top

    def _pass_on(self, ref: Ref, port: Ref) -> None:
        bound = self.bound(ref)
        if isinstance(bound, Ref):
            self._same[port] = bound
        else:
            self.scalars[port] = bound


Known = tuple[float, float] | None
Derive = Callable[[NodeSite], Known]


@dataclass(frozen=True)
class RangePlan:
    """How an op's output range comes about.

    Attributes:
        results: its quantized outputs.
        like: the input whose range its output has, of an op without a minimum and maximum.
        fixed: always the same.
        asked: the inputs that request minimum and maximum.
        source: the inputs from which minimum and maximum are copied.
        numbers: finds them from what is known of the node; None where nothing tells.
    """

    results: tuple[RangedOperand, ...]
    like: int | None = None
    fixed: tuple[float, float] | None = None
    asked: tuple[int, int] | None = None
    source: tuple[int, int] | None = None
    numbers: Derive | None = None


@functools.cache
def plan_of(op: str, inputs: int, outputs: int) -> RangePlan:
    """The plan of an op with so many inputs and outputs."""
    known = spec(op)
    results = ranged_outputs(op, outputs)
    if not results:
        return RangePlan((), like=0 if op.startswith("Convert_") else None)
    operands = ranged_inputs(op, inputs)
    rule = known.rule_of(inputs)
    if rule is RangeRule.COPIED and operands:
        return RangePlan(results, source=(operands[0].low, operands[0].high))
    if rule is RangeRule.DERIVED:
        return RangePlan(results, numbers=DERIVED.get(known.form_of or op))
    if rule is RangeRule.FIXED:
        return RangePlan(results, fixed=known.fixed)
    low, high = (known.position(f"out_{end}", inputs) for end in ("min", "max"))
    if rule.requested and low is not None and high is not None:
        return RangePlan(results, asked=(low, high))
    return RangePlan(results, numbers=NodeSite.output_range if rule is RangeRule.UNION else None)


def _mirrored(site: NodeSite) -> Known:
    known = site.range()
    return None if known is None else (-known[1], -known[0])


def _root(site: NodeSite) -> Known:
    known = site.range()
    return None if known is None or known[0] < 0.0 else (sqrt(known[0]), sqrt(known[1]))


def _width(site: NodeSite) -> Known:
    known = site.range()
    return None if known is None else (0.0, known[1] - known[0])


def _accumulated(first: str, second: str) -> Derive:
    """int32 values: their codes at the product of the steps."""

    def derive(site: NodeSite) -> Known:
        one, other = site.range(first), site.range(second)
        if one is None or other is None:
            return None
        step = (one[1] - one[0]) / LEVELS * (other[1] - other[0]) / LEVELS
        return -INT32 * step, (INT32 - 1) * step

    return derive


DERIVED: dict[str, Derive] = {
    "QuantizedNeg_8": _mirrored,
    "QuantizedSqrt_8": _root,
    "QuantizedL2Pool_8": _width,
    "QuantizedMatMul_8x8to32": _accumulated("a_", "b_"),
    "QuantizedBatchMatMul_8x8to32": _accumulated("a_", "b_"),
    "QuantizedConv2d_8x8to32": _accumulated("", "w_"),
}
"""Ranges that follow from the operands' alone."""
