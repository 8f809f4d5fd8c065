"""Pad in the modes that the library does not have, and negative pads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS

Sides = list[tuple[int, int]]


@DECOMPOSITIONS.rule("Pad")
def pad_by_gather(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """Negative pads are a Slice; edge, wrap and long reflections a Gather per axis."""
    value = node.inputs[0]
    sides = _sides(node)
    if value is None or sides is None:
        return None
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "constant"
    crops = min(min(pair) for pair in sides) < 0
    direct = mode == "constant" or (mode == "reflect" and _within(sides, shape_of(value)))
    if direct and not crops:
        return None
    if crops:
        value = _cropped(builder, value, sides)
        sides = [(max(before, 0), max(after, 0)) for before, after in sides]
    if not any(map(any, sides)):
        return [value]
    if mode == "constant" or (_within(sides, shape_of(value)) and mode == "reflect"):
        amounts = np.array([[b for b, _ in sides], [a for _, a in sides]], np.int64).reshape(-1)
        fill = node.inputs[2] if len(node.inputs) > 2 else None
        attrs = {"mode": mode}
        return [builder.op("Pad", [value, amounts, fill], attrs, name=str(node.name))]
    for axis, pair in enumerate(sides):
        if any(pair):
            index = np.pad(np.arange(shape_of(value)[axis]), pair, mode=mode)  # type: ignore[call-overload]
            value = builder.op("Gather", [value, index], {"axis": axis})
    return [value]


def _sides(node: ir.Node) -> Sides | None:
    """(before, after) of every axis; None where they are computed."""
    rank = len(shape_of(node.inputs[0]))
    amounts = array_of(node.inputs[1])
    axes: Sequence[int] = range(rank)
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        given = array_of(node.inputs[3])
        if given is None:
            return None
        axes = [int(axis) % rank for axis in given.reshape(-1)]
    if amounts is None:
        return None
    sides = [(0, 0)] * rank
    for position, axis in enumerate(axes):
        sides[axis] = (int(amounts[position]), int(amounts[position + len(axes)]))
    return sides


def _within(sides: Sides, shape: Sequence[int]) -> bool:
    """Whether a reflection stays inside the tensor."""
    return all(max(pair) < size for pair, size in zip(sides, shape, strict=True) if any(pair))


def _cropped(builder: FloatBuilder, value: ir.Value, sides: Sides) -> ir.Value:
    shape = shape_of(value)
    starts = np.array([max(-before, 0) for before, _ in sides], np.int64)
    ends = np.array(
        [size + min(after, 0) for size, (_, after) in zip(shape, sides, strict=True)], np.int64
    )
    return builder.op("Slice", [value, starts, ends, np.arange(len(shape), dtype=np.int64)])
