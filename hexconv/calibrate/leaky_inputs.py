"""Tensors that nothing but LeakyRelu and PRelu read, and by which slopes.

Behind a slope of 0.1 an error of a negative value counts a tenth. So the negative end of such a
tensor's range may be nearer to zero than the values reach, and all its steps are finer.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import array_of
from hexconv.onnx_graph.selections import SELECTIONS

STEEPEST = 0.3
"""Slope up to which an error below zero counts little, 10 dB less, whatever else is rare there."""
SELECTING = SELECTIONS - {"Gather"}
"""Ops that pass on, to their only reader, what they read."""


def slopes_behind(nodes: Iterable[ir.Node]) -> dict[str, float]:
    """By name of such a tensor, the largest slope below zero, from 0 to `STEEPEST`."""
    found = {}
    for node in nodes:
        for value in node.outputs:
            slope = _slope_behind(value)
            if slope is not None:
                found[str(value.name)] = slope
    return found


def _slope_behind(value: ir.Value) -> float | None:
    """The largest slope of all readers of a tensor; None if one of them needs it as it is."""
    readers = [use.node for use in value.uses()]
    if not readers or value.is_graph_output():
        return None
    largest = 0.0
    for node in readers:
        slope = _slope(node, value)
        if slope is None:
            return None
        largest = max(largest, slope)
    return largest


def _slope(node: ir.Node, value: ir.Value) -> float | None:
    if node.domain or node.inputs[0] is not value:
        return None
    if node.op_type in SELECTING and len(node.outputs) == 1:
        return _slope_behind(node.outputs[0])
    slopes = slopes_of(node)
    if slopes is None or not slopes.size:
        return None
    least, most = float(slopes.min()), float(slopes.max())
    return most if least >= 0.0 and most <= STEEPEST else None


def slopes_of(node: ir.Node) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    """The slopes of a LeakyRelu or PRelu that are known; None for other nodes."""
    if node.domain or node.op_type not in ("LeakyRelu", "PRelu"):
        return None
    if node.op_type == "LeakyRelu":
        return np.array(node.attributes.get_float("alpha", 0.01), np.float32)
    return array_of(node.inputs[1])
