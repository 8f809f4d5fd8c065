"""Rewrites that calibrated ranges decide: each place that was found is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.cleanup import remove_dead

Found = TypeVar("Found")
Use = tuple[ir.Node, int]


def change_each(
    graph: FloatGraph, found: Sequence[Found], change: Callable[[Found, FloatBuilder], None]
) -> int:
    """Change a graph at each place, and remove what nobody reads then.

    Args:
        graph: changed in place.
        found: the places.
        change: of one of them, with a builder of the graph.

    Returns:
        How many there were.
    """
    if found:
        builder = FloatBuilder(graph.graph)
        for place in found:
            change(place, builder)
        remove_dead(graph.graph)
    return len(found)


def replace_each(
    uses: Iterable[Use], builder: FloatBuilder, made: Callable[[ir.Value], ir.Value]
) -> None:
    """Let nodes read other tensors, of which each is computed once, in front of its first reader.

    Args:
        uses: nodes, and which of their inputs.
        builder: of the graph.
        made: computes with the builder what is read instead of a tensor.
    """
    order = {node: place for place, node in enumerate(builder.graph)}
    found: dict[ir.Value, ir.Value] = {}
    for node, position in sorted(uses, key=lambda use: order[use[0]]):
        value = node.inputs[position]
        assert value is not None
        if value not in found:
            builder.at(node)
            found[value] = made(value)
        node.replace_input_with(position, found[value])
