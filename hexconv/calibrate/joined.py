"""Parts of a joined output that have hardly any levels: one tensor has one range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx_ir as ir

from hexconv.names import listed
from hexconv.onnx_graph import FloatGraph
from hexconv.quantize import Bounds
from hexconv.quantize.ranges import LEVELS

FEW = 32
"""Levels below which a part has lost three bits."""
MOVES = ("Reshape", "Transpose", "Identity", "Squeeze", "Unsqueeze", "Flatten")


def joined_warnings(graph: FloatGraph, observed: Mapping[str, Bounds]) -> list[str]:
    """One warning for each output that a Concat makes of tensors of unlike ranges.

    Args:
        graph: calibrated.
        observed: (min, max) of each value.
    """
    return [text for value in graph.graph.outputs for text in _of_output(value, observed)]


def _of_output(output: ir.Value, observed: Mapping[str, Bounds]) -> Iterator[str]:
    node = _join(output)
    if node is None:
        return
    parts = list(dict.fromkeys(_parts(node)))
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
            f"the output '{output.name}' joins tensors of unlike ranges (Concat '{node.name}', "
            f"{low:.4g} to {high:.4g}): of {LEVELS} levels, {told}. "
            f"Export {listed(parts)} as outputs of their own."
        )


def _join(value: ir.Value) -> ir.Node | None:
    """The Concat that makes a tensor, which may have been reshaped then."""
    node = value.producer()
    while node is not None and node.op_type in MOVES and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node if node is not None and node.op_type == "Concat" else None


def _parts(join: ir.Node) -> Iterator[str]:
    """The tensors that it joins, those of Concats in front of it each for itself."""
    left = [value for value in reversed(join.inputs) if value is not None]
    while left:
        value = left.pop()
        inner = _join(value)
        if inner is None:
            yield str(value.name)
        else:
            left += [part for part in reversed(inner.inputs) if part is not None]
