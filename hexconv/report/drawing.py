"""Where the nodes of a graph are drawn: in layers, each below everything that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_NODES = 300
"""Above it a drawing is of no use to a reader."""
WIDTH, HEIGHT = 210, 34
GAP_X, GAP_Y = 18, 26


def drawing(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Places of nodes and the lines between them, in pixels.

    Args:
        nodes: of the section `cost`, in the order of execution.

    Returns:
        {"width", "height", "box": [w, h], "places": [[x, y] of each node],
        "lines": [[from, to] as positions in `nodes`]}
    """
    at = {node["id"]: index for index, node in enumerate(nodes)}
    edges = [
        (at[source], index)
        for index, node in enumerate(nodes)
        for source in node["inputs"]
        if source in at
    ]
    layers = _layers(len(nodes), edges)
    columns = _columns(layers, edges)
    widest = max((len(layer) for layer in layers), default=1)
    middle = widest * (WIDTH + GAP_X) / 2
    places: list[list[float]] = [[0.0, 0.0] for _ in nodes]
    for depth, layer in enumerate(layers):
        left = middle - len(layer) * (WIDTH + GAP_X) / 2
        for index in layer:
            x = left + columns[index] * (WIDTH + GAP_X)
            places[index] = [round(x), depth * (HEIGHT + GAP_Y)]
    return {
        "width": round(2 * middle),
        "height": max(len(layers) * (HEIGHT + GAP_Y), 1),
        "box": [WIDTH, HEIGHT],
        "places": places,
        "lines": [list(edge) for edge in edges],
    }


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Nodes by the longest way to them from a source; `edges` lead forward."""
    depth = [0] * count
    for source, reader in sorted(edges, key=lambda edge: edge[1]):
        depth[reader] = max(depth[reader], depth[source] + 1)
    layers: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for index, level in enumerate(depth):
        layers[level].append(index)
    return layers


def _columns(layers: list[list[int]], edges: Sequence[tuple[int, int]]) -> dict[int, int]:
    """The column of each node: near the mean of those that it reads; sorts the layers."""
    sources: dict[int, list[int]] = {}
    for source, reader in edges:
        sources.setdefault(reader, []).append(source)
    columns: dict[int, int] = {}
    for layer in layers:
        means = {
            index: sum(columns[s] for s in sources[index]) / len(sources[index])
            for index in layer
            if index in sources
        }
        layer.sort(key=lambda index: (means.get(index, 0.0), index))
        columns.update({index: column for column, index in enumerate(layer)})
    return columns
