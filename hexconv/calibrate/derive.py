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
from hexconv.quantize import Bounds

Map = Callable[[np.float32], np.float32]

SAME_VALUES = {
    "Reshape",
    "Transpose",
    "Identity",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Expand",
    "Tile",
    "DepthToSpace",
    "SpaceToDepth",
}


@dataclass(frozen=True)
class Derived:
    """A value's range as a monotonic function of the range of `source`."""

    source: str
    function: Map

    def bounds(self, source: Bounds) -> Bounds:
        """The range of the value."""
        with np.errstate(all="ignore"):
            ends = [float(self.function(np.float32(end))) for end in source]
        return min(ends), max(ends)


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
        return Derived(str(node.inputs[0].name), lambda x: x)
    if node.op_type in UNARY:
        return Derived(str(node.inputs[0].name), UNARY[node.op_type])
    if node.op_type == "Clip":
        return _clip(node)
    if node.op_type in BINARY and len(node.inputs) == 2:
        return _with_constant(node)
    return None


def _clip(node: ir.Node) -> Derived | None:
    low, high = np.float32(-np.inf), np.float32(np.inf)
    bounds = [*node.inputs[1:], None, None][:2]
    arrays = [array_of(bound) for bound in bounds]
    for bound, array in zip(bounds, arrays, strict=True):
        if bound is not None and (array is None or array.size != 1):
            return None
    if arrays[0] is not None:
        low = np.float32(arrays[0].item())
    if arrays[1] is not None:
        high = np.float32(arrays[1].item())
    return Derived(str(_name(node.inputs[0])), lambda x: np.minimum(np.maximum(x, low), high))


def _with_constant(node: ir.Node) -> Derived | None:
    left, right = node.inputs
    function = BINARY[node.op_type]
    for value, other, flipped in ((left, right, False), (right, left, True)):
        array = array_of(other)
        if array is None or array.size != 1 or array.dtype != np.float32:
            continue
        if flipped and node.op_type == "Div":
            return None  # c / x is monotonic only on one side of zero
        return Derived(_name(value), _bound(function, np.float32(array.item()), flipped))
    return None


def _bound(
    function: Callable[[np.float32, np.float32], np.float32], number: np.float32, flipped: bool
) -> Map:
    """The function of one number that remains when the other operand is constant."""
    if flipped:
        return lambda x: np.float32(function(number, x))
    return lambda x: np.float32(function(x, number))


def _name(value: ir.Value | None) -> str:
    assert value is not None
    return str(value.name)


UNARY: dict[str, Map] = {
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
