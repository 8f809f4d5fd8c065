"""A node's inputs by role, the registry of shape rules, and helpers for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.ops import OpSpec
from hexconv.registry import Registry


@dataclass(frozen=True)
class View:
    """A node's inputs, looked up by role."""

    op: OpSpec
    shapes: Sequence[Shape4]
    consts: Sequence[Array | None]
    padding: Padding
    n_outputs: int

    def shape(self, role: str) -> Shape4:
        """Shape of the first input of a role."""
        return self.shapes[self._at(role)]

    def every(self, role: str) -> list[Shape4]:
        """Shapes of all inputs of a variadic role."""
        roles = self.op.roles(len(self.shapes))
        return [s for s, operand in zip(self.shapes, roles, strict=True) if operand.role == role]

    def has(self, role: str) -> bool:
        """Whether an optional input is given."""
        return self.op.position(role, len(self.shapes)) is not None

    def ints(self, role: str, *counts: int) -> list[int]:
        """The values of a Const input of integers; `counts`: how many there may be, any without."""
        array = self.consts[self._at(role)]
        if array is None:
            raise GraphError(f"the '{role}' input must be a constant")
        if array.dtype.kind not in "iu":
            raise GraphError(f"the '{role}' input is {array.dtype}, must be integers")
        if counts and array.size not in counts:
            wanted = " or ".join(map(str, counts))
            raise GraphError(f"the '{role}' input holds {array.size} numbers, must hold {wanted}")
        return [int(value) for value in array.reshape(-1)]

    def number(self, role: str, default: int | None = None) -> int:
        """The value of a Const input of one integer; `default` where it may be absent."""
        if default is not None and not self.has(role):
            return default
        return self.ints(role, 1)[0]

    def axes(self, role: str, *counts: int) -> list[int]:
        """A Const list of axes, negative ones counted from the back."""
        axes = self.ints(role, *counts)
        if any(not -4 <= axis < 4 for axis in axes):
            raise GraphError(f"an axis of {axes} is out of range")
        return [axis % 4 for axis in axes]

    def _at(self, role: str) -> int:
        position = self.op.position(role, len(self.shapes))
        if position is None:
            raise GraphError(f"the '{role}' input is missing")
        return position


ShapeRule = Callable[[View], Shape4]
RULES: Registry[ShapeRule] = Registry("shape rule")
shape_rule = RULES.register
"""Registers a function as the shape of every data output of the ops that it names."""


def broadcast(*shapes: Shape4) -> Shape4:
    """The common shape of operands that are broadcast to each other."""
    sizes = []
    for axis in zip(*shapes, strict=True):
        wide = {size for size in axis if size != 1}
        if len(wide) > 1:
            raise GraphError(f"shapes {[list(s) for s in shapes]} cannot be broadcast")
        sizes.append(wide.pop() if wide else 1)
    return four(sizes)


def window(size: int, kernel: int, stride: int, padding: Padding) -> int:
    """Output size along one axis of a window op (include/nn_graph_padding.h)."""
    if stride < 1 or kernel < 1:
        raise GraphError(f"a window of {kernel} with stride {stride} is impossible")
    if padding is Padding.VALID:
        return (size - kernel) // stride + 1 if size >= kernel else 0
    return -(-size // stride)


def four(sizes: Sequence[int]) -> Shape4:
    b, h, w, d = sizes
    return b, h, w, d
