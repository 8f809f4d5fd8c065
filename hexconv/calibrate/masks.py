"""Attention masks: values far below every score need no quantization levels of their own.

A mask adds -10000 (or -1e9, or -inf) to the scores that softmax must ignore, or replaces them with
it. When 255 levels cover that distance, no resolution is left for the scores; a mask a few units
below the smallest score has the same effect. The mask may be a constant, or computed in each run.
In front of a minimum, or of a softmax of the negative, it is +10000 and above every score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.hidden_rows import decides_rows, hides_rows, less_row_ends
from hexconv.calibrate.mask_gaps import FAR, STEP_FAR, near_zero
from hexconv.calibrate.mask_ways import BOUNDS, MOVES, joined_by, number_of, way_behind
from hexconv.names import unique_name
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, constant
from hexconv.onnx_graph.selections import moved_from
from hexconv.quantize import Bounds

LOOKED_AT = 1 << 16
"""Values of a constant that tell whether it is a mask."""


@dataclass(frozen=True)
class Operand:
    """What a join adds to the scores, or selects.

    Attributes:
        node: the join.
        position: among its inputs.
        bounds: of its values, negated where they are subtracted or masked ones are above.
        near: of those that are nearer to zero than `FAR`, in the same sense.
        step: whether it is nothing but 0 and a number.
    """

    node: ir.Node
    position: int
    bounds: Bounds
    near: Bounds
    step: bool

    def masks(self, scores: Bounds) -> bool:
        """Whether it reaches far below the scores, and has nothing between near and far."""
        if self.step:
            return self.bounds[0] <= scores[0] - STEP_FAR
        return self.bounds[0] <= scores[0] - FAR and self.near[0] > -STEP_FAR


def bounded_masks(graph: FloatGraph, observed: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """The ranges, with those of masked scores in front of softmax and ArgMax clipped below them.

    Added masks are clipped as well, so that their quantized values separate 0 from masked. A mask
    that no sample needed has the range that it would have where one does.
    """
    ranges = dict(observed)
    scores: dict[str, Bounds] = {}
    for node in graph.nodes:
        if joined_by(node):
            _bound(graph, node, ranges, scores)
    return ranges


def _bound(
    graph: FloatGraph, node: ir.Node, ranges: dict[str, Bounds], scores: dict[str, Bounds]
) -> None:
    """Clip the mask of one join, and the range of what it masks.

    Args:
        graph: it may get a Clip behind a mask that is computed.
        node: the join.
        ranges: changed.
        scores: ranges of masked values without what is masked; of this join's result it is added.
    """
    way = None if _far_number(node, ranges) is not None else way_behind(node)
    if way is None:
        return
    operands = [_operand(node, at, ranges, scores, way.sign) for at in joined_by(node)]
    if None in operands:
        return
    mask, other = sorted(
        (item for item in operands if item is not None), key=lambda item: item.bounds[0]
    )
    added = node.op_type in ("Add", "Sub")
    low, high = other.bounds
    low += min(mask.near[0], 0.0) if added else 0.0
    before = any(value is not None and value.name in scores for value in node.inputs)
    if way.extrema and not (added and way.hidden_in(ranges, low)):
        return  # what only a maximum reads needs no more than the range of the maximum
    masked = mask.masks(other.bounds) and not (node.op_type == "Sub" and mask.position == 0)
    masked = masked and not (added and number_of(node.inputs[mask.position]) is not None)
    if not masked and not before:
        return
    if not masked:
        low, high = _joined(mask.bounds, other.bounds, added=added)
    bottom = way.bottom(low, high) - sum(
        _span(value, ranges, scores, way.sign) for value in way.added
    )
    for name, factor in way.names.items():
        if name in ranges:
            scores[name] = bounds = _covering(ranges[name], low, factor * way.sign)
            ranges[name] = _covering(bounds, bottom, factor * way.sign)
    if added and masked:
        _show_hidden_rows(graph, mask, other.bounds, way.sign, ranges)
        _cut_off(graph, mask, _ends_of_added(mask, (bottom - high) * way.sign), ranges)
    elif node.op_type in BOUNDS and masked:
        least, most = sorted((bottom * way.sign, high * way.sign))
        _cut_off(graph, mask, (least, most), ranges)


def _joined(one: Bounds, two: Bounds, *, added: bool) -> Bounds:
    """The bounds of scores that a join makes of two, of which one was masked before."""
    if added:
        return one[0] + two[0], one[1] + two[1]
    return min(one[0], two[0]), max(one[1], two[1])


def _span(
    value: ir.Value | None, ranges: dict[str, Bounds], scores: Mapping[str, Bounds], sign: float
) -> float:
    """How far apart the scores are that are added to what is masked; of a mask, those near 0."""
    if value is None or _is_step(value, ranges):
        return 0.0
    bounds = scores.get(str(value.name)) or _bounds(value, ranges) or (0.0, 0.0)
    near = near_zero(value, bounds, ranges)
    lowest, least = (bounds[0], near[0]) if sign > 0.0 else (-bounds[1], -near[1])
    low, high = near if lowest <= -FAR and least > -STEP_FAR else bounds
    return high - low


def _covering(bounds: Bounds, low: float, factor: float) -> Bounds:
    """Bounds that end at `low` times a factor: at their lower end, or upper if it is negative."""
    end = low * factor
    return (end, max(bounds[1], end)) if factor > 0.0 else (min(bounds[0], end), end)


def _operand(
    node: ir.Node,
    position: int,
    ranges: dict[str, Bounds],
    scores: Mapping[str, Bounds],
    sign: float,
) -> Operand | None:
    value = node.inputs[position] if position < len(node.inputs) else None
    if value is None:
        return None
    step = _is_step(value, ranges)
    bounds = scores.get(str(value.name)) or _bounds(value, ranges)
    if bounds is None:
        return None
    near = near_zero(value, bounds, ranges)
    if (node.op_type == "Sub" and position == 1) != (sign < 0.0):
        bounds, near = (-bounds[1], -bounds[0]), (-near[1], -near[0])
    return Operand(node, position, bounds, near, step)


def _bounds(value: ir.Value | None, ranges: Mapping[str, Bounds]) -> Bounds | None:
    array = array_of(value)
    if array is not None and array.size:
        return float(array.min()), float(array.max())
    return None if value is None else ranges.get(str(value.name))


def _is_step(value: ir.Value, ranges: dict[str, Bounds]) -> bool:
    """Whether a value is a mask: 0 or one other number.

    The ranges on the way to it are made to hold both, whether or not a sample is padded.
    """
    array = array_of(value)
    if array is not None:
        return len(set(array.reshape(-1)[:LOOKED_AT].tolist()) - {0.0}) == 1
    path = list(moved_from(value, MOVES))
    node = path[-1].producer()
    far = None if node is None or node.domain else _far_number(node, ranges)
    if far is None:
        return False
    for item in path:
        ranges[str(item.name)] = min(far, 0.0), max(far, 0.0)
    return True


def _far_number(node: ir.Node, ranges: dict[str, Bounds]) -> float | None:
    """The number that a node returns for padding, and 0 elsewhere; None for any other node."""
    if node.op_type == "Where":
        numbers = [number_of(value) for value in node.inputs[1:]]
        far = next((number for number in numbers if number), None)
        return far if 0.0 in numbers and far is not None and abs(far) >= STEP_FAR else None
    if node.op_type != "Mul":
        return None
    for number, padding in (node.inputs, tuple(reversed(node.inputs))):
        far, bounds = number_of(number), _bounds(padding, ranges)
        if padding is None or far is None or bounds is None or abs(far) < STEP_FAR:
            continue
        low, high = bounds
        if array_of(padding) is None and low >= -1.0 and high <= 1.0 and low * high == 0.0:
            sign = -1.0 if low < 0.0 or (low == high and _negative(padding)) else 1.0
            ranges[str(padding.name)] = min(sign, 0.0), max(sign, 0.0)
            return sign * far
    return None


def _negative(padding: ir.Value) -> bool:
    """Whether padding, 0 in every sample, is a mask minus 1."""
    node = padding.producer()
    if node is None or node.op_type not in ("Sub", "Add"):
        return False
    if node.op_type == "Sub":
        return array_of(node.inputs[0]) is None
    return any((number_of(value) or 0.0) < 0.0 for value in node.inputs)


def _show_hidden_rows(
    graph: FloatGraph, mask: Operand, scores: Bounds, sign: float, ranges: dict[str, Bounds]
) -> None:
    """Let a mask that is added be 0 in rows that it hides throughout, as softmax takes it."""
    value = mask.node.inputs[mask.position]
    assert value is not None
    if mask.node.op_type == "Sub":
        sign = -sign
    if mask.near != (0.0, 0.0) or not decides_rows(mask.node.outputs[0]):
        return
    if hides_rows(value, ranges, scores, sign):
        less = less_row_ends(graph.graph, mask.node, value, ranges, sign)
        mask.node.replace_input_with(mask.position, less)


def _ends_of_added(mask: Operand, far: float) -> tuple[float | None, float | None]:
    """The ends of a mask that a join adds or subtracts, where what it adds ends at `far`."""
    end = -far if mask.node.op_type == "Sub" and mask.position == 1 else far
    return (None, end) if end > 0.0 else (end, None)


def _cut_off(
    graph: FloatGraph,
    mask: Operand,
    ends: tuple[float | None, float | None],
    ranges: dict[str, Bounds],
) -> None:
    """Let a mask end at the least and most of `ends`, or at one of them: by a Clip if computed."""
    value = mask.node.inputs[mask.position]
    assert value is not None
    name = f"{value.name}/bounded"
    array = array_of(value)
    low, high = ends
    if array is not None:
        if None not in ends:  # those of other scores differ
            name = unique_name(name, set(graph.graph.initializers))
        if name not in graph.graph.initializers:
            clipped = np.clip(array, low, high).astype(np.float32)
            graph.graph.register_initializer(constant(name, clipped))
        mask.node.replace_input_with(mask.position, graph.graph.initializers[name])
        return
    name = unique_name(name, set(ranges))
    inputs = [value, _limit(graph, f"{name}/least", low), _limit(graph, f"{name}/limit", high)]
    clip = ir.node("Clip", inputs, version=mask.node.version)
    clip.name = name
    made = clip.outputs[0]
    made.name, made.shape, made.type = name, value.shape, value.type
    graph.graph.insert_before(mask.node, clip)
    mask.node.replace_input_with(mask.position, made)
    least, most = _bounds(value, ranges) or (0.0, 0.0)
    ranges[name] = (
        min(least, 0.0) if low is None else low,
        max(most, 0.0) if high is None else high,
    )


def _limit(graph: FloatGraph, name: str, end: float | None) -> ir.Value | None:
    if end is None:
        return None
    bound = constant(name, np.array(end, np.float32))
    graph.graph.register_initializer(bound)
    return bound
