"""Positions of maxima that become floats: any of an axis may come in a run, not only those seen."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import shape_of
from hexconv.onnx_graph.selections import SELECTIONS
from hexconv.quantize import Bounds
from hexconv.quantize.ranges import LEVELS


def cover_positions(graph: FloatGraph, observed: dict[str, Bounds]) -> None:
    """Give casts of ArgMax's and ArgMin's results the range of their axis, each on a level.

    Args:
        graph: calibrated.
        observed: (min, max) by value; changed.
    """
    for node in graph.nodes:
        name = str(node.outputs[0].name)
        length = _axis_length(node) if node.op_type == "Cast" and name in observed else 0
        if 1 < length <= LEVELS:
            observed[name] = 0.0, LEVELS / (LEVELS // (length - 1))


def _axis_length(node: ir.Node) -> int:
    """Of the axis whose positions a Cast reads, perhaps moved; 0 where it reads none."""
    source = node.inputs[0]
    while source is not None and (maker := source.producer()) is not None and not maker.domain:
        first = maker.inputs[0] if maker.inputs else None
        if maker.op_type in ("ArgMax", "ArgMin") and first is not None:
            axis = maker.attributes.get("axis")
            return shape_of(first)[0 if axis is None else axis.as_int()]
        if maker.op_type not in SELECTIONS:
            return 0
        source = first
    return 0
