"""Scores of attention that no softmax sees take no levels.

A score far below its row's maximum has probability 0 in 255 levels, and adds nothing to the row's
sum. Scores reach far lower than that: those of the lowest row decide which of them matter, so that
the range starts a margin below the least maximum that any row was seen to have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log

import onnx_ir as ir

from hexconv.calibrate.mask_ways import MARGIN, joined_by, number_of
from hexconv.calibrate.softmax_rows import (
    LOST,
    LOWEST_SCORE,
    least_top,
    row_length,
    softmax_of_attention,
)
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.onnx_graph.selections import LAYOUT
from hexconv.quantize import Bounds

SCORES = LAYOUT | {"Add", "Div", "MatMul", "Mul"}
"""Ops of whose results a sum of scores is; of any other, such as a mask, nothing is left out."""
KNOWN_MASK = 3.0
"""How much lower a row's maximum may be where a constant hides most of the row: 13 dB."""


def bounded_scores(graph: FloatGraph, observed: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """The ranges, those of scores without what each softmax of the graph returns 0 for.

    Args:
        graph: the float model; it is not changed.
        observed: (min, max) of each value, and the maxima of rows.
    """
    ranges = dict(observed)
    if graph.ranges:  # of a quantized model they are part of its function
        return ranges
    for node in softmax_of_attention(graph):
        top, scores = least_top(node, ranges), node.inputs[0]
        if top is None or scores is None:
            continue
        below = max(-LOWEST_SCORE, log(row_length(node) / LOST)) + _margin(scores)
        _start_at(scores, top - below, ranges)
    return ranges


def _start_at(value: ir.Value, low: float, ranges: dict[str, Bounds]) -> None:
    """Let a value's range start at `low`, and those of what it is computed from accordingly."""
    if not read_once(value) or str(value.name) not in ranges:
        return
    least, most = ranges[str(value.name)]
    if not low < most:
        return
    ranges[str(value.name)] = max(low, least), most
    for source, before in _sources(value.producer(), low, ranges):
        node = source.producer()
        if node is not None and not node.domain and node.op_type in SCORES:
            _start_at(source, before, ranges)


def _sources(
    node: ir.Node | None, low: float, ranges: Mapping[str, Bounds]
) -> Iterator[tuple[ir.Value, float]]:
    """What a node moves, scales or adds, and below which its result is below `low`."""
    source = None if node is None or node.domain or not node.inputs else node.inputs[0]
    if node is None or source is None:
        return
    if node.op_type in LAYOUT:
        yield source, low
    elif node.op_type in ("Mul", "Div"):
        number = number_of(node.inputs[1])
        if number is not None and number > 0.0:
            yield source, low / number if node.op_type == "Mul" else low * number
    elif node.op_type == "Add":
        for value, other in (node.inputs, tuple(reversed(node.inputs))):
            bounds = _bounds(other, ranges)
            if value is not None and array_of(value) is None and bounds is not None:
                yield value, low - bounds[1]


def _margin(value: ir.Value | None) -> float:
    """How much lower a row's maximum may be in other runs, whose masks hide other scores."""
    node = None if value is None else value.producer()
    if node is None or node.domain or not node.inputs:
        return 0.0
    if node.op_type in LAYOUT or node.op_type in ("Mul", "Div"):
        return _margin(node.inputs[0])
    if node.op_type != "Add":
        chosen = node.op_type == "Where" and array_of(node.inputs[0]) is not None
        return KNOWN_MASK if chosen else MARGIN if joined_by(node) else 0.0
    scores, other = node.inputs if array_of(node.inputs[1]) is not None else node.inputs[::-1]
    array = array_of(other)
    if array is None:
        return MARGIN
    return max(KNOWN_MASK if array.min(initial=0.0) <= -MARGIN else 0.0, _margin(scores))


def _bounds(value: ir.Value | None, ranges: Mapping[str, Bounds]) -> Bounds | None:
    array = array_of(value)
    if array is not None and array.size:
        return float(array.min()), float(array.max())
    return None if value is None else ranges.get(str(value.name))
