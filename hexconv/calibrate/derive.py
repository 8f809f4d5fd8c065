"""Ranges that follow exactly from another tensor's range, so the tensor need not be observed.

A tensor that holds the same values in another shape or order has the same range; a monotonic
function of one tensor maps its minimum and maximum, and its percentiles, onto the result's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import array_of
from hexconv.onnx_graph.rewrites.match import clip_ends
from hexconv.onnx_graph.selections import LAYOUT
from hexconv.quantize import Bounds

SAME_VALUES = LAYOUT | {"DepthToSpace", "Expand", "SpaceToDepth", "Tile"}


@dataclass(frozen=True)
class Derived:
    """A value's range as a monotonic function of the range of `source`.

    Args:
        source: name of the value that it follows from.
        op: the ONNX op between the two; "Identity" for all that keep the values.
        numbers: the other operand of a binary op; low and high of a Clip.
        flipped: the source is the right operand.
    """

    source: str
    op: str
    numbers: tuple[float, ...] = ()
    flipped: bool = False

    def bounds(self, source: Bounds) -> Bounds:
        """The range of the value."""
        with np.errstate(all="ignore"):
            ends = [float(self._value(np.float32(end))) for end in source]
        return min(ends), max(ends)

    def _value(self, x: np.float32) -> np.float32:
        numbers = [np.float32(number) for number in self.numbers]
        if self.op == "Clip":
            return np.float32(np.minimum(np.maximum(x, numbers[0]), numbers[1]))
        if self.op in BINARY:
            left, right = (numbers[0], x) if self.flipped else (x, numbers[0])
            return np.float32(BINARY[self.op](left, right))
        return np.float32(UNARY[self.op](x))


def derivations(nodes: Iterable[ir.Node]) -> dict[str, Derived]:
    """What can be derived about the nodes' outputs, by value name."""
    found: dict[str, Derived] = {}
    for node in nodes:
        derived = _derive(node)
        if derived is not None:
            found[str(node.outputs[0].name)] = derived
    return found


def _derive(node: ir.Node) -> Derived | None:
    if node.domain or not node.inputs or node.inputs[0] is None:
        return None
    if node.op_type in SAME_VALUES:
        return Derived(_name(node.inputs[0]), "Identity")
    if node.op_type in UNARY:
        return Derived(_name(node.inputs[0]), node.op_type)
    if node.op_type == "Clip":
        ends = clip_ends(node)
        return None if ends is None else Derived(_name(node.inputs[0]), "Clip", ends)
    if node.op_type in BINARY and len(node.inputs) == 2:
        return _with_constant(node)
    return None


def _with_constant(node: ir.Node) -> Derived | None:
    left, right = node.inputs
    for value, other, flipped in ((left, right, False), (right, left, True)):
        array = array_of(other)
        if array is None or array.size != 1 or array.dtype != np.float32:
            continue
        if flipped and node.op_type == "Div":
            return None  # c / x is monotonic only on one side of zero
        return Derived(_name(value), node.op_type, (float(array.item()),), flipped)
    return None


def _name(value: ir.Value | None) -> str:
    assert value is not None
    return str(value.name)


UNARY: dict[str, Callable[[np.float32], np.float32]] = {
    "Identity": lambda x: x,
    "Relu": lambda x: np.maximum(x, np.float32(0)),
    "Neg": lambda x: -x,
    "Sqrt": np.sqrt,
    "Floor": np.floor,
    "Ceil": np.ceil,
}

BINARY: dict[str, Callable[[np.float32, np.float32], np.float32]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
}
