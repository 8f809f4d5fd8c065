"""One node of a graph with the known properties of its inputs before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from hexconv.arrays import Array
from hexconv.nnlib.graph import Const, Node, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.ops import OpSpec, RangeRule


@dataclass(frozen=True)
class NodeSite:
    """A node, its catalogue entry, its inputs' shapes, consts, and the float scalars known.

    `scalars` has the value of every min and max that does not depend on the data of a run.
    """

    node: Node
    spec: OpSpec
    shapes: tuple[Shape4, ...]
    consts: tuple[Const | None, ...]
    scalars: Mapping[Ref, float]

    def position(self, role: str) -> int | None:
        """The position of the first input of a role, if it is given."""
        return self.spec.position(role, len(self.shapes))

    def shape(self, role: str) -> Shape4 | None:
        """Shape of the first input of a role, if it is given."""
        position = self.position(role)
        return None if position is None else self.shapes[position]

    def const(self, role: str) -> Array | None:
        """Value of the first input of a role, if it is given and a Const with data."""
        position = self.position(role)
        const = None if position is None else self.consts[position]
        return None if const is None or const.shape_only else const.array

    def scalar(self, role: str) -> float | None:
        """A float scalar, if it is given and known."""
        position = self.position(role)
        return None if position is None else self.scalars.get(self.node.inputs[position])

    def range(self, prefix: str = "") -> tuple[float, float] | None:
        """The range of the operand whose minimum is `<prefix>min`, if it is known."""
        low, high = self.scalar(f"{prefix}min"), self.scalar(f"{prefix}max")
        return None if low is None or high is None else (low, high)

    def output_scalars(self) -> dict[Ref, float]:
        """The scalars that this node returns, as far as they are known without running it."""
        known = self.output_range()
        if known is None:
            return {}
        roles = self.spec.results(len(self.node.outputs))
        low_high = dict(zip(("min", "max"), known, strict=True))
        return {
            Ref(self.node.id, port): low_high[operand.role]
            for port, operand in enumerate(roles)
            if operand.role in low_high
        }

    def output_range(self) -> tuple[float, float] | None:
        """Both ends of the range of its output, if they are known."""
        rule = self.spec.rule_of(len(self.shapes))
        if rule is RangeRule.FIXED:
            return self.spec.fixed
        if rule is RangeRule.COPIED:
            return self.range()
        if rule is RangeRule.UNION:
            return self._union()
        requested = self.range("out_")
        if rule.requested and requested and all(map(isfinite, requested)):
            return requested
        return None

    def _union(self) -> tuple[float, float] | None:
        """The hull of all operands' ranges, and of zero."""
        low, high = 0.0, 0.0
        operands = self.spec.roles(len(self.shapes))
        for operand, ref in zip(operands, self.node.inputs, strict=True):
            if operand.scalar and operand.role.endswith(("min", "max")):
                value = self.scalars.get(ref)
                if value is None:
                    return None
                low, high = min(low, value), max(high, value)
        return low, high
