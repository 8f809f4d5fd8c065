"""Parts of a joined output that have hardly any levels: one tensor has one range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx_ir as ir

from hexconv.names import listed
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.joins import joined
from hexconv.quantize import Bounds
from hexconv.quantize.ranges import LEVELS

FEW = 32
"""Levels below which a part has lost three bits."""


def joined_warnings(graph: FloatGraph, observed: Mapping[str, Bounds]) -> list[str]:
    """One warning for each output that is joined of tensors of unlike ranges.

    Args:
        graph: calibrated.
        observed: (min, max) of each value.
    """
    return [text for value in graph.graph.outputs for text in _of_output(value, observed)]


def _of_output(output: ir.Value, observed: Mapping[str, Bounds]) -> Iterator[str]:
    found = joined(output)
    if found is None:
        return
    node, parts = found.node, [str(value.name) for value in found.parts]
    known = {name: observed[name] for name in parts if name in observed}
    low = min([0.0, *(bounds[0] for bounds in known.values())])
    high = max([0.0, *(bounds[1] for bounds in known.values())])
    few = {
        name: round((top - bottom) / (high - low) * LEVELS)
        for name, (bottom, top) in known.items()
        if bottom < top and (top - bottom) * LEVELS < FEW * (high - low)
    }
    if few:
        told = ", ".join(f"'{name}' has {levels}" for name, levels in few.items())
        yield (
            f"the output '{output.name}' joins tensors of unlike ranges "
            f"({node.op_type} '{node.name}', "
            f"{low:.4g} to {high:.4g}): of {LEVELS} levels, {told}. "
            f"Export {listed(parts)} as outputs of their own."
        )
