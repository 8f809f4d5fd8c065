"""The magnitude of a pair without its squares.

sqrt(a^2 + b^2), its logarithm and its powers below 1 are what speech networks read of a spectrum.
In 8 bits the squares leave nothing of a value under a sixteenth of the largest one. The magnitude
itself is the largest of a few projections: of a point at a distance of 1, and less than 11.25
degrees away from one of two directions of an eighth of the circle, the projection onto that
direction is between 0.981 and 1. In the middle of that, it is right to 1 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import cos, log, pi, sin

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph, NodeView
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.rewrites.match import read_once, scalar
from hexconv.optimize.registry import Stage, rewrite

DIRECTIONS = 2
"""Of the eighth of the circle, where 0 <= b <= a."""
HALF = pi / 8 / DIRECTIONS
"""The largest angle between a point and the nearest direction."""
REDUCTIONS = ("ReduceSum", "ReduceSumSquare", "ReduceL2")
MOST_TERMS = 4
"""Squares in a sum: each adds 1 % at most."""
MOST = float(np.finfo(np.float32).max)
SMALL = 1e-6
"""An addend under a root, up to which it only keeps the result above zero."""


@rewrite(Stage.FLOAT, accuracy=True)
def magnitudes(graph: FloatGraph) -> int:
    """The root or logarithm of a sum of two squares is computed without them: small values stay."""
    builder = FloatBuilder(graph.graph)
    count = 0
    for node in graph.nodes:
        terms = _terms(node.outputs[0]) if node.graph else []
        if not 2 <= sum(term.count for term in terms) <= MOST_TERMS:
            continue
        is_norm = node.op_type == "ReduceL2"
        uses = [] if is_norm else [use.node for use in node.outputs[0].uses()]
        roots = [root for use in uses if (root := _root(use)) is not None]
        if not is_norm and not roots:
            continue
        builder.at(node)
        sizes = [_absolute(part, builder) for term in terms for part in term.parts(builder)]
        size = reduce(lambda a, b: _magnitude(a, b, builder), sizes)
        if is_norm:
            builder.replace(node, [size])
        for root in roots:
            root.read(size, builder)
        count += 1
    if count:
        remove_dead(graph.graph)
    return count


@dataclass(frozen=True)
class _Term:
    """Values that are squared and added up.

    Attributes:
        value: all of them.
        axis: that is added up; None where it is one square.
        keep: whether the axis stays, of size 1.
    """

    value: ir.Value
    axis: int | None = None
    keep: bool = True

    @property
    def count(self) -> int:
        """How many squares."""
        return 1 if self.axis is None else shape_of(self.value)[self.axis]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the sum."""
        shape = list(shape_of(self.value))
        if self.axis is not None:
            shape[self.axis : self.axis + 1] = [1] if self.keep else []
        return tuple(shape)

    def parts(self, builder: FloatBuilder) -> list[ir.Value]:
        """Each operand of the sum."""
        if self.axis is None:
            return [self.value]
        sizes = builder.const(np.ones(self.count, np.int64))
        made = {"axis": self.axis}
        cut = builder.ops(
            "Split", [self.value, sizes], made, outputs=self.count, name=_name(builder)
        )
        if self.keep:
            return cut
        axes = builder.const(np.array([self.axis]))
        return [_made(builder, "Squeeze", [part, axes]) for part in cut]


@dataclass(frozen=True)
class _Form:
    """A function of a sum of squares p: factor * clip(p, low, high) ** exponent + added."""

    exponent: float = 1.0
    factor: float = 1.0
    added: float = 0.0
    low: float = 0.0
    high: float = MOST

    def behind(self, node: ir.Node) -> _Form | None:
        """The function that a node makes of it; None for another one."""
        number, power = _number(node), _exponent(node)
        if not _keeps_shape(node):
            return None
        if power > 0.0 and self.factor == 1.0 and self.added <= SMALL:
            return replace(
                self.clipped(self.added, MOST), exponent=self.exponent * power, added=0.0
            )
        if self.added:
            return None
        if node.op_type == "Clip":
            low, high = (scalar(value) for value in (*node.inputs[1:], None, None)[:2])
            return self.clipped(low or 0.0, MOST if high is None else max(high, 0.0))
        if number is None or number < 0.0:
            return None
        if node.op_type == "Max":
            return self.clipped(number, MOST)
        if node.op_type == "Add":
            return replace(self, added=number)
        factor = {"Mul": number, "Div": 1.0 / (number or 1.0)}.get(node.op_type, 0.0)
        return replace(self, factor=self.factor * factor) if factor else None

    def clipped(self, low: float, high: float) -> _Form:
        """With the bounds of a node behind it."""
        least, most = ((max(end, 0.0) / self.factor) ** (1 / self.exponent) for end in (low, high))
        return replace(self, low=max(self.low, least), high=max(min(self.high, most), least))

    def of(self, size: ir.Value, is_log: bool, builder: FloatBuilder) -> ir.Value:
        """It, or its logarithm, of the root of p."""
        if self.low or self.high < MOST:
            ends = [np.float32(min(end, MOST) ** 0.5) for end in (self.low, self.high)]
            size = _made(builder, "Clip", [size, *ends])
        power, factor = 2 * self.exponent, self.factor
        if is_log and not self.added:
            size = _made(builder, "Log", [size])
            steps = [("Mul", power, 1.0), ("Add", log(factor), 0.0)]
        else:
            steps = [("Pow", power, 1.0), ("Mul", factor, 1.0), ("Add", self.added, 0.0)]
        for op, number, idle in steps:
            size = size if number == idle else _made(builder, op, [size, np.float32(number)])
        return _made(builder, "Log", [size]) if is_log and self.added else size


@dataclass(frozen=True)
class _Root:
    """A node that makes small values of a sum of squares count, and what it computes of them."""

    node: ir.Node
    form: _Form

    def read(self, size: ir.Value, builder: FloatBuilder) -> None:
        """Compute it of the magnitude."""
        builder.at(self.node)
        builder.replace(self.node, [self.form.of(size, self.node.op_type == "Log", builder)])


def _root(node: ir.Node) -> _Root | None:
    """The last node, from a reader of a sum on, that is a logarithm or a power below 1 of it."""
    form: _Form | None = _Form()
    found = None
    while form is not None and not node.domain:
        if node.op_type == "Log":
            return _Root(node, form)
        form = form.behind(node)
        if form is not None and form.exponent < 1.0 and not form.added:
            found = _Root(node, form)
        if not read_once(node.outputs[0]):
            break
        node = next(iter(node.outputs[0].uses())).node
    return found


def _terms(value: ir.Value) -> list[_Term]:
    """What is squared in a sum of squares of one shape; empty for any other value."""
    node = value.producer()
    if node is None or node.domain:
        return []
    if node.op_type == "Add":
        parts = [_terms(operand) for operand in node.inputs if operand is not None]
        terms = [term for part in parts for term in part] if all(parts) else []
        return terms if all(term.shape == shape_of(value) for term in terms) else []
    if node.op_type in REDUCTIONS:
        return _reduced(node)
    squared = _squared(node)
    return [] if squared is None else [_Term(squared)]


def _reduced(node: ir.Node) -> list[_Term]:
    """What is squared, of a sum or norm over an axis of a few elements."""
    source, view = node.inputs[0], NodeView(node)
    if source is not None and node.op_type == "ReduceSum":
        made = source.producer()
        source = None if made is None else _squared(made)
    axes = array_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if source is None or axes is None or axes.size != 1:
        return []
    axis = int(axes.flat[0]) % len(shape_of(source))
    return [_Term(source, axis, bool(view.attr("keepdims", 1)))]


def _squared(node: ir.Node) -> ir.Value | None:
    """x of x * x."""
    source = node.inputs[0] if node.op_type in ("Mul", "Pow") and not node.domain else None
    if source is None or source.const_value is not None:
        return None
    return source if source is node.inputs[1] or _exponent(node) == 2.0 else None


def _exponent(node: ir.Node) -> float:
    """Of a power; 0 of any other node."""
    if node.op_type == "Sqrt":
        return 0.5
    return (scalar(node.inputs[1]) or 0.0) if node.op_type == "Pow" else 0.0


def _keeps_shape(node: ir.Node) -> bool:
    """Whether the result has the shape of an operand that is no constant."""
    shape = shape_of(node.outputs[0])
    return all(array_of(v) is not None or shape_of(v) == shape for v in node.inputs if v)


def _number(node: ir.Node) -> float | None:
    """The constant operand of a node of two; a divisor, but no dividend."""
    if len(node.inputs) != 2:
        return None
    left, right = (scalar(value) for value in node.inputs)
    return left if right is None and node.op_type != "Div" else right


def _absolute(value: ir.Value, builder: FloatBuilder) -> ir.Value:
    """|x|; a table costs 2.9 packets an element, these two nodes 0.3."""
    return _made(builder, "Max", [value, _made(builder, "Sub", [np.float32(0), value])])


def _magnitude(a: ir.Value, b: ir.Value, builder: FloatBuilder) -> ir.Value:
    """The root of a^2 + b^2, of operands that are not below 0."""
    large, small = _made(builder, "Max", [a, b]), _made(builder, "Min", [a, b])
    middle = (1.0 + cos(HALF)) / 2.0
    angles = [HALF * (2 * place + 1) for place in range(DIRECTIONS)]
    projections = [
        _made(
            builder,
            "Add",
            [
                _made(builder, "Mul", [value, np.float32(factor(angle) / middle)])
                for value, factor in ((large, cos), (small, sin))
            ],
        )
        for angle in angles
    ]
    return reduce(lambda x, y: _made(builder, "Max", [x, y]), projections)


def _made(builder: FloatBuilder, op: str, inputs: Sequence[ir.Value | np.float32]) -> ir.Value:
    return builder.op(op, inputs, name=_name(builder))


def _name(builder: FloatBuilder) -> str:
    """That no decomposition has: ranges of all levels are measured together, by name."""
    assert builder.before is not None
    return f"{builder.before.name}_magnitude"
