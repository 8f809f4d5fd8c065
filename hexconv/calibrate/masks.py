"""Attention masks: values far below every score need no quantization levels of their own.

A mask adds -10000 (or -1e9, or -inf) to the scores that softmax must ignore, or replaces them with
it. When 255 levels cover that distance, no resolution is left for the scores; a mask a few units
below the smallest score has the same effect. The mask may be a constant, or computed in each run.
In front of a minimum, or of a softmax of the negative, it is +10000 and above every score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.names import unique_name
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, constant
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.quantize import Bounds

MOVES = {"Reshape", "Transpose", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Expand"}
JOINS = {"Add": (0, 1), "Sub": (0, 1), "Where": (1, 2), "Pad": (0, 2)}
LARGER = {"Softmax", "ArgMax", "GlobalMaxPool", "MaxPool", "ReduceMax"}
SMALLER = {"ArgMin", "ReduceMin"}
"""Ops whose result no value tells that is far below, or above, all others."""
EXTREMA = {"GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin"}
"""Those that never return what is masked where something else is beside it."""
# exp(-12) of 512 masked positions adds 0.3 % to a softmax's sum; 1 LSB of its output is 0.4 %.
MARGIN = 12.0
# Of probabilities that are divided by their sum without the masked ones, where all scores are near.
MARGIN_DIVIDED = 3.0
# Gelu(-8) is -5e-15.
GELU_ENDS = 8.0
# ArgMax needs what is masked to be less than the smallest score: five levels of 255.
LEVELS_BELOW = 1 / 50
# A branch is a mask where it reaches this far below all scores; one that is 0 or a number, sooner.
FAR, STEP_FAR = 100.0, 24.0
# Where nothing but the range is known.
FAR_ALONE = 1000.0
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
        if not node.domain and node.op_type in JOINS:
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
    way = None if _far_number(node, ranges) is not None else _way(node.outputs[0])
    if way is None:
        return
    sides = JOINS[node.op_type]
    operands = [_operand(node, index, ranges, scores, way.sign) for index in sides]
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
        _cut_off(graph, mask, (bottom - high) * way.sign, ranges)


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
    near = _near(value, bounds, ranges)
    lowest, least = (bounds[0], near[0]) if sign > 0.0 else (-bounds[1], -near[1])
    low, high = near if lowest <= -FAR and least > -STEP_FAR else bounds
    return high - low


def _way(value: ir.Value) -> Way | None:
    """From masked scores to what reads them: of masks far below the scores, or far above."""
    ways = (Way(1.0), Way(-1.0))
    return next((way for way in ways if way.follow(value, 1.0)), None)


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
    near = _near(value, bounds, ranges)
    if (node.op_type == "Sub" and position == 1) != (sign < 0.0):
        bounds, near = (-bounds[1], -bounds[0]), (-near[1], -near[0])
    return Operand(node, position, bounds, near, step)


def _near(value: ir.Value, bounds: Bounds, ranges: Mapping[str, Bounds]) -> Bounds:
    """Those of a value's bounds that are nearer to zero than `FAR`."""
    array = array_of(value)
    if array is not None:
        return _near_in_rows(array)
    known = ranges.get(near_name(value))
    if known is not None:
        return known
    # Ranges of another tool: what is at zero and far from it only, as masks are.
    return (0.0, 0.0) if 0.0 in bounds and max(map(abs, bounds)) >= FAR_ALONE else bounds


def _near_in_rows(array: Array) -> Bounds:
    """Of a constant: a bias that grows with the distance hides nothing in a row that has a 0."""
    bounds = []
    for values in (array, -array):
        near = values[np.abs(values) < FAR]
        least = float(near.min()) if near.size else 0.0
        if least <= -STEP_FAR and array.ndim > 1:
            least = min(float(values.max(axis).min()) for axis in (-1, -2))
        bounds.append(least)
    return bounds[0], -bounds[1]


def near_name(value: ir.Value) -> str:
    """The name of those values of a possible mask that are nearer to zero than `FAR`."""
    return f"{value.name}/near"


def leads_to_selection(node: ir.Node) -> bool:
    """Whether nothing but softmax, ArgMax, a maximum or GELU needs a join's result."""
    return _way(node.outputs[0]) is not None


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
    path, node = [value], value.producer()
    while node is not None and node.op_type in MOVES and node.inputs[0] is not None:
        path.append(node.inputs[0])
        node = node.inputs[0].producer()
    far = None if node is None or node.domain else _far_number(node, ranges)
    if far is None:
        return False
    for item in path:
        ranges[str(item.name)] = min(far, 0.0), max(far, 0.0)
    return True


def _far_number(node: ir.Node, ranges: dict[str, Bounds]) -> float | None:
    """The number that a node returns for padding, and 0 elsewhere; None for any other node."""
    if node.op_type == "Where":
        numbers = [_number(value) for value in node.inputs[1:]]
        far = next((number for number in numbers if number), None)
        return far if 0.0 in numbers and far is not None and abs(far) >= STEP_FAR else None
    if node.op_type != "Mul":
        return None
    for number, padding in (node.inputs, tuple(reversed(node.inputs))):
        far, bounds = _number(number), _bounds(padding, ranges)
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
    return any((_number(value) or 0.0) < 0.0 for value in node.inputs)


def _number(value: ir.Value | None) -> float | None:
    array = array_of(value)
    return float(array.item()) if array is not None and array.size == 1 else None


@dataclass
class Way:
    """From masked scores to softmax, ArgMax, a maximum or a minimum.

    Attributes:
        sign: 1.0 if what is masked is far below the scores, -1.0 if it is far above.
        names: values up to the next join, each with what the scores are multiplied by there.
        extrema: the maxima and minima that are taken of them, each with that number.
        factors: what they are multiplied by at each softmax.
        added: what is added to them, or subtracted, behind the next join.
        divided: for each softmax, whether its probabilities are divided by the sum of a part.
        gelus: what they are multiplied by at each GELU, which returns 0 for what is masked.
    """

    sign: float
    names: dict[str, float] = field(default_factory=dict)
    extrema: dict[str, float] = field(default_factory=dict)
    factors: list[float] = field(default_factory=list)
    divided: list[bool] = field(default_factory=list)
    gelus: list[float] = field(default_factory=list)
    added: list[ir.Value | None] = field(default_factory=list)

    def bottom(self, low: float, high: float) -> float:
        """What masked scores become, of scores between two bounds; above them if `sign` is -1."""
        margins = [(high - low) * LEVELS_BELOW]
        for factor, divided in zip(self.factors, self.divided, strict=True):
            width = (high - low) * abs(factor)
            margin = min(MARGIN, max(MARGIN_DIVIDED, width)) if divided else MARGIN
            margins.append(margin / abs(factor))
        return min([low - max(margins), *(-GELU_ENDS / abs(factor) for factor in self.gelus)])

    def hidden_in(self, ranges: Mapping[str, Bounds], low: float) -> bool:
        """Whether no maximum is less than the smallest of the scores, which is `low`."""
        for name, factor in self.extrema.items():
            bounds = ranges.get(name)
            factor *= self.sign
            if bounds is None:
                return False
            if bounds[0] < low * factor if factor > 0.0 else bounds[1] > low * factor:
                return False
        return True

    def follow(self, value: ir.Value, factor: float, *, joined: bool = False) -> bool:
        """Add a value and what is computed of it; whether nothing but `Way`'s ends needs it."""
        left, seen = [(value, factor, joined)], set()
        while left:
            value, factor, joined = step = left.pop()
            if step in seen:
                continue
            seen.add(step)
            if value.is_graph_output() or not value.uses():
                return False
            if not joined:
                self.names[str(value.name)] = factor
            for use in reversed(tuple(value.uses())):
                further = self._steps(use.node, use.idx, factor, joined)
                if further is None:
                    return False
                left += further
        return True

    def _steps(
        self, node: ir.Node, position: int, factor: float, joined: bool
    ) -> list[tuple[ir.Value, float, bool]] | None:
        """Where the way goes on behind a node; None where it leads elsewhere."""
        below = factor * self.sign > 0.0
        if node.op_type in LARGER | SMALLER and not node.domain:
            if (node.op_type in LARGER) != below:
                return None
            if node.op_type == "Softmax":
                self.factors.append(factor)
                self.divided.append(_is_divided(node))
            if node.op_type in EXTREMA:
                self.extrema[str(node.outputs[0].name)] = factor
            return []
        if node.op_type == "Gelu" and not node.domain:
            self.gelus.append(factor)
            return [] if below else None
        scale = _factor(node, position)
        if scale is None:
            return None
        if node.op_type in ("Add", "Sub"):
            self.added.append(node.inputs[1 - position])
        joined = joined or node.op_type in JOINS or node.op_type == ("Min" if below else "Max")
        return [(node.outputs[0], factor * scale, joined)]


def _is_divided(softmax: ir.Node) -> bool:
    """Whether a mask multiplies the probabilities too, and their sum divides them: without it."""
    value = softmax.outputs[0]
    reader = next(iter(value.uses())).node if read_once(value) else None
    return reader is not None and reader.op_type == "Mul" and len(reader.outputs[0].uses()) == 2


def _factor(node: ir.Node, position: int) -> float | None:
    """By what a node on the way multiplies an input; None where it leads elsewhere."""
    if node.domain:
        return None
    if node.op_type in MOVES or node.op_type in JOINS or node.op_type in ("Max", "Min", "Clip"):
        first = {"Where": (1, 2), "Max": (0, 1), "Min": (0, 1), "Add": (0, 1)}
        return 1.0 if position in first.get(node.op_type, (0,)) else None
    if node.op_type == "Neg":
        return -1.0
    number = _number(node.inputs[1 - position]) if node.op_type in ("Mul", "Div") else None
    if not number or (node.op_type == "Div" and position == 1):
        return None
    return number if node.op_type == "Mul" else 1.0 / number


def _cut_off(graph: FloatGraph, mask: Operand, low: float, ranges: dict[str, Bounds]) -> None:
    """A mask that is added, at least `low`, or at most if it is positive: by a Clip if computed."""
    value = mask.node.inputs[mask.position]
    assert value is not None
    subtracted = mask.node.op_type == "Sub" and mask.position == 1
    limit, upper = (-low if subtracted else low), (low > 0.0) != subtracted
    name = f"{value.name}/bounded"
    array = array_of(value)
    if array is not None:
        clipped = (np.minimum if upper else np.maximum)(array, np.float32(limit))
        if name not in graph.graph.initializers:
            graph.graph.register_initializer(constant(name, clipped))
        mask.node.replace_input_with(mask.position, graph.graph.initializers[name])
        return
    name = unique_name(name, set(ranges))
    bound = constant(f"{name}/limit", np.array(limit, np.float32))
    graph.graph.register_initializer(bound)
    inputs = [value, None, bound] if upper else [value, bound]
    clip = ir.node("Clip", inputs, version=mask.node.version)
    clip.name = name
    made = clip.outputs[0]
    made.name, made.shape, made.type = name, value.shape, value.type
    graph.graph.insert_before(mask.node, clip)
    mask.node.replace_input_with(mask.position, made)
    least, most = _bounds(value, ranges) or (0.0, 0.0)
    ranges[name] = (min(least, 0.0), limit) if upper else (limit, max(most, 0.0))
