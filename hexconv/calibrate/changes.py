"""Rewrites that calibrated ranges decide: each place that was found is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.cleanup import remove_dead

Found = TypeVar("Found")


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
