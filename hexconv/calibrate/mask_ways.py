"""The way from scores that a mask hides to what decides between them: softmax, a maximum, GELU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from hexconv.onnx_graph.builder import array_of
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.onnx_graph.selections import LAYOUT
from hexconv.quantize import Bounds

MOVES = LAYOUT | {"Expand"}
JOINS = {"Add": (0, 1), "Sub": (0, 1), "Where": (1, 2), "Pad": (0, 2)}
BOUNDS = {"Min": 1.0, "Max": -1.0}
"""Ops that choose what is masked, far below the scores (1.0) or far above them (-1.0)."""
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


def joined_by(node: ir.Node) -> tuple[int, ...]:
    """The inputs of a node that may add a mask to scores, or choose one; of any other, none."""
    if node.domain:
        return ()
    if node.op_type in BOUNDS and len(node.inputs) == 2:
        return 0, 1
    return JOINS.get(node.op_type, ())


def way_behind(node: ir.Node) -> Way | None:
    """From what such a node returns to what reads it; None where that needs more, or it is none."""
    if not joined_by(node):
        return None
    way = way_of(node.outputs[0])
    return None if way is None or BOUNDS.get(node.op_type, way.sign) != way.sign else way


def way_of(value: ir.Value) -> Way | None:
    """From masked scores to what reads them: of masks far below the scores, or far above."""
    ways = (Way(1.0), Way(-1.0))
    return next((way for way in ways if way.follow(value, 1.0)), None)


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
    number = number_of(node.inputs[1 - position]) if node.op_type in ("Mul", "Div") else None
    if not number or (node.op_type == "Div" and position == 1):
        return None
    return number if node.op_type == "Mul" else 1.0 / number


def number_of(value: ir.Value | None) -> float | None:
    """The number that a constant of one element is."""
    array = array_of(value)
    return float(array.item()) if array is not None and array.size == 1 else None
