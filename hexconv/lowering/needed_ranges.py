"""The part of a tensor's range that its readers need.

Where(x > 0, x, exp(x) - 1) takes no value of exp(x) above 1, and a Clip changes all that it lets
not through to its bounds. If every reader returns the same for a value as for the nearest one in
an interval, the tensor is as good in that interval, and its levels are finer there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import inf, isfinite

import numpy as np
import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.arrays import Array
from hexconv.lowering.channel_factors import channel_factors
from hexconv.lowering.lookup import Function
from hexconv.lowering.unary import one_variable
from hexconv.onnx_graph import NodeView
from hexconv.onnx_graph.builder import array_of
from hexconv.onnx_graph.selections import SELECTIONS
from hexconv.quantize import Bounds

EVERYTHING = (-inf, inf)
WORTH = 1.25
"""By how much narrower a range has to become: a third of a bit."""
WORTH_CLIPPED = 4.0
"""The same of what a Relu or Clip reads, which costs nothing on its input's quantized values, and
of what a maximum or minimum is taken of: beside it a number far away may fill up or mask."""
SAME = 1 / 1024
"""Share of a function's range by which values of it may differ that are the same in 8 bits."""
JUMP = 1 / 16
"""Share of a range that is left of it around a jump, which a function may make anywhere."""
STEEPEST = 2.0**-16
"""Share of a range, and number, that no function but one that jumps needs so few values as."""
POINTS = 4096
"""At which a function is compared with itself."""
REDUCING = frozenset(("GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin"))
"""Ops that return the largest, or the smallest, of what they read."""
LIMITING = frozenset(("Clip", "Max", "Min", "Relu", "Where")) | REDUCING
"""Ops that do not let through all that they read."""
ORDERED = SELECTIONS | REDUCING | {"Concat", "Max", "Min", "Pad"}
"""Ops that return values that they read, chosen by position or by order."""

Needed = Callable[[NodeView, int, Bounds, Mapping[str, Bounds]], Bounds]
"""Of a node, the position of an input, what is needed of the result, and all ranges: what is needed
of the input."""


def needed_ranges(
    nodes: Sequence[NodeView], observed: Mapping[str, Bounds], ends: Collection[str]
) -> dict[str, Bounds]:
    """The ranges, those narrowed of which readers need a part only.

    Args:
        nodes: the float graph's nodes in order.
        observed: (min, max) of each computed value.
        ends: the graph's inputs and outputs, which keep their ranges.
    """
    ranges, needed = dict(observed), dict.fromkeys(observed, EVERYTHING)
    readers: dict[str, list[tuple[NodeView, int]]] = {}
    for node in nodes:
        for position, name in enumerate(node.inputs):
            readers.setdefault(name, []).append((node, position))
    for node in reversed(nodes):
        for name in node.outputs:
            if name not in ranges or name in ends:
                continue
            wanted = _union(_needed_by(*use, ranges, needed) for use in readers.get(name, []))
            part = _within(ranges[name], wanted)
            if WORTH * _width(part) < _width(ranges[name]):
                ranges[name] = needed[name] = part
    return ranges


def _needed_by(
    node: NodeView, position: int, ranges: Mapping[str, Bounds], needed: Mapping[str, Bounds]
) -> Bounds:
    """What one reader needs of an input: if it limits nothing itself, what its own readers need."""
    function = one_variable(node) or _gated(node, position)
    if function is not None:
        bounds = ranges.get(node.input(position), EVERYTHING)
        return _clear_part(_argument(function, bounds, ranges.get(node.outputs[0])), bounds)
    rule = RULES.get(node.op)
    if rule is None:
        return EVERYTHING
    limits = node.op in LIMITING or notes_of(node.node).saturates is not None
    known = ranges if limits or _is_masked(node, position) else needed
    wanted = _union(known.get(name, EVERYTHING) for name in node.outputs)
    found = rule(node, position, wanted, ranges)
    if node.op in REDUCING or node.op in ("Relu", "Clip"):
        return _clear_part(found, ranges.get(node.input(0), EVERYTHING))
    return found


def _gated(node: NodeView, position: int) -> Function | None:
    """The function of x that x times a function of x is: Swish, HardSwish."""
    if node.op == "HardSwish":
        return lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0)
    gate = node.node.inputs[1 - position] if node.op == "Mul" and len(node.inputs) == 2 else None
    producer = None if gate is None else gate.producer()
    if producer is None or producer.inputs[0] is not node.node.inputs[position]:
        return None
    factor = one_variable(NodeView(producer))
    return None if factor is None else lambda x: x * factor(x)


def _clear_part(found: Bounds, bounds: Bounds) -> Bounds:
    """What is found to be needed, where it is much narrower than all there is."""
    return found if _width(bounds) > WORTH_CLIPPED * _width(found) else EVERYTHING


def _argument(function: Function, bounds: Bounds, result: Bounds | None) -> Bounds:
    """Outside of what a function returns the same as at the nearest end: Erf beyond 2.3."""
    if result is None or not all(map(isfinite, bounds)):
        return EVERYTHING
    found = _varying_part(function, bounds, result)
    while found is not None and WORTH_CLIPPED * _width(found) < _width(bounds):
        # Beside a number that masks, all that the function is at other values is a few points.
        finer = _varying_part(function, found, result) or found
        if _width(finer) < STEEPEST * min(_width(bounds), 1.0):
            return _around(finer, bounds)
        bounds, found = found, finer
    return found or EVERYTHING


def _around(jump: Bounds, bounds: Bounds) -> Bounds:
    """A part of a range beyond which a value is on its side of a jump for certain."""
    reach = JUMP / 2 * (bounds[1] - bounds[0])
    return max(jump[0] - reach, bounds[0]), min(jump[1] + reach, bounds[1])


def _varying_part(function: Function, bounds: Bounds, result: Bounds) -> Bounds | None:
    """Where a function is not what it is at the ends of an interval; None if nowhere."""
    points = np.linspace(*bounds, POINTS)
    with np.errstate(all="ignore"):
        values = np.clip(function(points), *result)
    allowed = SAME * (result[1] - result[0])
    if not np.isfinite(values).all():
        return None
    above = np.flatnonzero(np.abs(values - values[0]) > allowed)
    below = np.flatnonzero(np.abs(values - values[-1]) > allowed)
    if not above.size or not below.size:
        return None
    return float(points[max(above[0] - 1, 0)]), float(points[min(below[-1] + 1, POINTS - 1)])


def _within(bounds: Bounds, wanted: Bounds) -> Bounds:
    low, high = (min(max(bound, wanted[0]), wanted[1]) for bound in bounds)
    return low, high


def _union(bounds: Iterable[Bounds]) -> Bounds:
    found = list(bounds) or [EVERYTHING]
    return min(low for low, _ in found), max(high for _, high in found)


def _width(bounds: Bounds) -> float:
    return max(bounds[1], 0.0) - min(bounds[0], 0.0)


def _same(node: NodeView, position: int, result: Bounds, ranges: Mapping[str, Bounds]) -> Bounds:
    return result


def _branch(node: NodeView, position: int, result: Bounds, ranges: Mapping[str, Bounds]) -> Bounds:
    return result if position else EVERYTHING


def _with_constant(
    node: NodeView, position: int, result: Bounds, ranges: Mapping[str, Bounds]
) -> Bounds:
    """The inverse image of a sum or product with a constant."""
    low, high = result
    array = array_of(node.node.inputs[1 - position]) if len(node.inputs) == 2 else None
    if array is None and node.op in ("Add", "Sub") and len(node.inputs) == 2:
        own, other = (ranges.get(node.input(at), EVERYTHING) for at in (position, 1 - position))
        return _clear_part(_beside(node, position, result, other), own)
    if array is None or array.dtype.kind != "f" or not array.size:
        return result if _is_masked(node, position) else EVERYTHING
    least, most = float(array.min()), float(array.max())
    match node.op:
        case "Add":
            return low - most, high - least
        case "Sub" if position == 0:
            return low + least, high + most
        case "Sub":
            return least - high, most - low
        case "Mul":
            return _divided(result, array)
        case "Div" if position == 0 and np.all(array):
            return _divided(result, 1.0 / array.astype(np.float64))
    return EVERYTHING


def _beside(node: NodeView, position: int, result: Bounds, other: Bounds) -> Bounds:
    """Of a sum or difference of two tensors: beyond it no value of the other leads back inside."""
    (low, high), (least, most) = result, other
    if node.op == "Add":
        return low - most, high - least
    return (low + least, high + most) if position == 0 else (least - high, most - low)


def _divided(result: Bounds, factors: Array) -> Bounds:
    """What times one of the factors is in a range; a factor of 0 needs nothing."""
    effective = factors.astype(np.float64)[factors != 0]
    if not effective.size:
        return 0.0, 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        ends = np.concatenate([bound / effective for bound in result])
    low, high = float(ends.min()), float(ends.max())
    return (low, high) if low <= high else EVERYTHING


def _by_channel(
    node: NodeView, position: int, result: Bounds, ranges: Mapping[str, Bounds]
) -> Bounds:
    """The inverse image of a factor and an addend for each channel."""
    found = channel_factors(node) if position == 0 else None
    if found is None:
        return EVERYTHING
    images = [
        _divided((result[0] - addend, result[1] - addend), np.array([factor]))
        for factor, addend in zip(*found, strict=True)
    ]
    return _union(images)


def _is_masked(node: NodeView, position: int) -> bool:
    """Whether a node multiplies an input with a mask of 0 and 1: 0 or the value is the product."""
    return node.op == "Mul" and len(node.inputs) == 2 and _is_mask(node.node.inputs[1 - position])


def _is_mask(value: ir.Value | None) -> bool:
    node = None if value is None else value.producer()
    while node is not None and node.op_type in SELECTIONS:
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    if node is None or node.domain:
        return False
    if node.op_type == "Sub":
        array = array_of(node.inputs[0])
        return array is not None and bool(np.all(array == 1)) and _is_mask(node.inputs[1])
    source = node.inputs[0] if node.op_type == "Cast" else None
    return source is not None and source.dtype == ir.DataType.BOOL


def _clipped(node: NodeView, position: int, result: Bounds, ranges: Mapping[str, Bounds]) -> Bounds:
    """Of a computed bound nothing is known."""
    return result if position == 0 else EVERYTHING


def _rescaled(
    node: NodeView, position: int, result: Bounds, ranges: Mapping[str, Bounds]
) -> Bounds:
    return _divided(result, np.array([float(node.attr("factor"))]))


def _negated(node: NodeView, position: int, result: Bounds, ranges: Mapping[str, Bounds]) -> Bounds:
    return -result[1], -result[0]


RULES: dict[str, Needed] = {
    **dict.fromkeys(ORDERED, _same),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _with_constant),
    **dict.fromkeys(("Affine", "BatchNormalization"), _by_channel),
    "Where": _branch,
    "Relu": _same,
    "Clip": _clipped,
    "Neg": _negated,
    "Rescale": _rescaled,
}
