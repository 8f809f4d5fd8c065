"""The steps of an unrolled LSTM, GRU or RNN: how many, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from hexconv.annotations import annotate, notes_of
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import shape_of
from hexconv.quantize import Bounds

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
LAST = {"LSTM": 3, "GRU": 1, "RNN": 1}
"""Nodes at the end of a step that all steps have: the cell, its Tanh, the state; the state."""
NEAR = 16
"""Steps before and after one whose ranges it shares."""
LONG = 128
"""Steps from which on the user has to know what they cost."""
NODES = 16
"""Of the library for each step of a GRU or LSTM, about."""


def limit_steps(graph: FloatGraph, most: int) -> list[ir.Node]:
    """Annotate recurrent nodes with the steps up to which they are unrolled.

    Returns:
        Those that are long.
    """
    nodes = [node for node in graph.nodes if node.op_type in GATES and not node.domain]
    for node in nodes:
        annotate(node, most_steps=most)
    return [node for node in nodes if LONG < steps_of(node) <= most]


def steps_of(node: ir.Node) -> int:
    """Frames times directions."""
    return shape_of(node.inputs[0])[0] * (2 if is_bidirectional(node) else 1)


def is_bidirectional(node: ir.Node) -> bool:
    """Whether a recurrent node reads its frames both ways."""
    direction = node.attributes.get("direction")
    return direction is not None and direction.value == "bidirectional"


def directions_of(node: ir.Node) -> int:
    """1 or 2: how often a recurrent node reads its frames."""
    return 2 if is_bidirectional(node) else 1


def number_step(nodes: Sequence[ir.Node], op: str, name: str, step: int) -> None:
    """Annotate the nodes of one step with their places in it.

    Args:
        nodes: in order; the first step has fewer where its state is zero, but the same last ones.
        op: of the recurrent node.
        name: of the recurrent node, and of the direction.
        step: its number.
    """
    for place, node in enumerate(nodes):
        left = len(nodes) - place
        where = f"{name}/{-left if left <= LAST[op] else (place, len(nodes))}"
        annotate(node, in_step=(where, step))


def shared_over_steps(graph: FloatGraph, ranges: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """The ranges, with those of the steps around it for what an unrolled node computes in a step.

    A step has few values in a sample: its own minimum and maximum over some samples would clip
    others. Steps that are far apart may differ, as where a cell fills up.
    """
    places: dict[str, dict[int, str]] = {}
    for node in graph.nodes:
        at, name = notes_of(node).in_step, str(node.outputs[0].name)
        if at is not None and name in ranges:
            places.setdefault(at[0], {})[at[1]] = name
    found = dict(ranges)
    for names in places.values():
        for step, name in names.items():
            near = range(step - NEAR, step + NEAR + 1)
            around = [ranges[names[other]] for other in near if other in names]
            found[name] = min(low for low, _ in around), max(high for _, high in around)
    return found
