"""Attention masks: values far below every score need no quantization levels of their own.

A mask adds -10000 (or -1e9, or -inf) to the scores that softmax must ignore, or replaces them with
it. When 255 levels cover that distance, no resolution is left for the scores; a mask a few units
below the smallest score has the same effect.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, constant
from hexconv.quantize import Bounds

MOVES = {"Reshape", "Transpose", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Expand"}
JOINS = {"Add": (0, 1), "Where": (1, 2)}
# exp(-12) of 512 masked positions adds 0.3 % to a softmax's sum; 1 LSB of its output is 0.4 %.
MARGIN = 12.0
# A branch is a mask where it reaches this far below all scores.
FAR = 100.0


def bounded_masks(graph: FloatGraph, observed: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """The ranges, with those of masked scores in front of a softmax clipped below the scores.

    Added constants are clipped as well, so that their quantized values separate 0 from masked.
    """
    ranges = dict(observed)
    for node in graph.nodes:
        if node.domain or node.op_type not in JOINS:
            continue
        values = _only_for_softmax(node.outputs[0])
        bounds = {index: _bounds(node.inputs[index], ranges) for index in JOINS[node.op_type]}
        if values is None or None in bounds.values():
            continue
        mask = min(bounds, key=lambda index: bounds[index][0])  # type: ignore[index]
        (other,) = (index for index in bounds if index != mask)
        low, high = bounds[other]  # type: ignore[misc]
        if bounds[mask][0] > low - FAR:  # type: ignore[index]
            continue
        for name in values:
            if name in ranges:
                ranges[name] = max(ranges[name][0], low - MARGIN), max(ranges[name][1], low)
        if node.op_type == "Add":
            _cut_off(graph, node, mask, low - MARGIN - high)
    return ranges


def _bounds(value: ir.Value | None, ranges: Mapping[str, Bounds]) -> Bounds | None:
    array = array_of(value)
    if array is not None and array.size:
        return float(array.min()), float(array.max())
    return None if value is None else ranges.get(str(value.name))


def _only_for_softmax(value: ir.Value) -> list[str] | None:
    """The value and the nodes that only move it, if nothing but softmax reads them."""
    names, pending = [], [value]
    while pending:
        current = pending.pop()
        names.append(str(current.name))
        if current.is_graph_output() or not current.uses():
            return None
        for use in current.uses():
            if use.node.op_type in MOVES and use.idx == 0:
                pending.append(use.node.outputs[0])
            elif use.node.op_type != "Softmax":
                return None
    return names


def _cut_off(graph: FloatGraph, node: ir.Node, position: int, low: float) -> None:
    value = node.inputs[position]
    array = array_of(value)
    if array is None or value is None:
        return
    name = f"{value.name}/bounded"
    if name not in graph.graph.initializers:
        graph.graph.register_initializer(constant(name, np.maximum(array, np.float32(low))))
    node.replace_input_with(position, graph.graph.initializers[name])
