"""Ranges that are wider than what was observed, for the rounding of what they are computed of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from hexconv.onnx_graph import NodeView
from hexconv.quantize import Bounds, Range


def of_computed(nodes: Iterable[NodeView], observed: Mapping[str, Bounds]) -> Iterator[NodeView]:
    """Nodes whose result was observed, and whose first input is no input of the model.

    A model's input has the range of each run.
    """
    computed: set[str] = set()
    for node in nodes:
        if node.inputs and node.inputs[0] in computed and node.outputs[0] in observed:
            yield node
        computed.update(node.outputs)


def levels_of_a_step(node: NodeView, ranges: Mapping[str, Range]) -> float:
    """The step of a node's first input, in those of its result."""
    return ranges[node.inputs[0]].step / ranges[node.outputs[0]].step


def widened(observed: Mapping[str, Bounds], factors: Mapping[str, float]) -> Mapping[str, Bounds]:
    """The observed ranges, each times its factor; `observed` itself where none is above 1."""
    wider = {
        name: (observed[name][0] * factor, observed[name][1] * factor)
        for name, factor in factors.items()
        if factor > 1.0
    }
    return {**observed, **wider} if wider else observed
