"""Operands of a Concat use the Concat's range, where that costs almost no precision.

A tensor with other readers keeps its own range, and is requantized for the Concat. Where
the Concat's range is hardly wider that node gains nothing.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from hexconv.lowering.annotations import notes_of
from hexconv.onnx_graph import FloatGraph
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import Bounds

WIDER = 1.25
"""By how much a range may grow: a third of a bit."""


@rewrite(Stage.FUSION)
def concat_in_one_range(graph: FloatGraph, observed: MutableMapping[str, Bounds]) -> int:
    """Operands of a Concat use its range if that is hardly wider: they are not requantized."""
    count = 0
    for node in graph.nodes:
        if node.op_type != "Concat" or node.domain or str(node.outputs[0].name) not in observed:
            continue
        low, high = observed[str(node.outputs[0].name)]
        for value in dict.fromkeys(node.inputs):
            producer = value.producer() if value is not None else None
            if value is None or producer is None or notes_of(producer).saturates:
                continue
            own = observed.get(str(value.name))
            if len(value.uses()) < 2 or own is None or own == (low, high):
                continue
            if own[0] >= low and own[1] <= high and high - low <= WIDER * (own[1] - own[0]):
                observed[str(value.name)] = low, high
                count += 1
    return count
