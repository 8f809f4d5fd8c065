"""Differences from a mean whose values are all rounded by the same amount.

Where x has about the step of x - mean(x), or two to four times that, whole steps of x are whole
steps of the difference, and what the mean leaves over is the same for each value of a row: all are
rounded up, or all down, by up to half a step. A sum or mean of the norm adds that up.
A slightly wider range gives each value an error of its own. What takes the mean off again, as
norms behind norms do, takes such an error off as well, and needs no other range.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx_ir as ir

from hexconv.lowering.widened import levels_of_a_step, of_computed, widened
from hexconv.onnx_graph import NodeView
from hexconv.onnx_graph.selections import SELECTIONS
from hexconv.quantize import Bounds, Range

APART = 0.015
"""Share by which a step of x has to be off whole levels of the difference: over a hundred levels
the errors have had all sizes. It widens a range by 3 % at most, a quarter of a dB."""
LARGEST = 4
"""Levels to a step of x, of a difference with a fourth of its range: a finer one is not met."""
SUMS = frozenset(("GlobalAveragePool", "ReduceMean", "ReduceSum"))
"""Ops that add an error up that all values have."""
PASSES = frozenset(
    (
        *("Add", "Affine", "AveragePool", "BatchNormalization", "Clip", "Div", "LeakyRelu"),
        *("Mul", "Relu", "Sub"),
    )
)
"""Ops that pass such an error on."""


def off_same_rounding(
    nodes: Iterable[NodeView], ranges: Mapping[str, Range], observed: Mapping[str, Bounds]
) -> Mapping[str, Bounds]:
    """The observed ranges, those of such differences widened.

    Args:
        nodes: the float graph's nodes in order.
        ranges: of all values, as they were solved.
        observed: (min, max) of each computed value.

    Returns:
        `observed` itself where there is no such difference.
    """
    factors = {
        node.outputs[0]: factor
        for node in of_computed(nodes, observed)
        if _from_mean(node.node)
        and (factor := _off(levels_of_a_step(node, ranges))) > 1.0
        and _added_up(node.node.outputs[0])
    }
    return widened(observed, factors)


def _from_mean(node: ir.Node) -> bool:
    """Whether a node takes off the mean of what it reads."""
    if node.op_type != "Sub" or node.domain:
        return False
    source, mean = node.inputs
    producer = None if mean is None else mean.producer()
    return producer is not None and producer.op_type in SUMS and producer.inputs[0] is source


def _added_up(value: ir.Value) -> bool:
    """Whether a sum or mean is taken of what is computed of a value, and not to be taken off."""
    pending, seen = [value], {value}
    while pending:
        for node in _readers(pending.pop()):
            if node.op_type in SUMS and not _centers(node):
                return True
            if node.op_type in PASSES | SELECTIONS and not _squares(node):
                fresh = [output for output in node.outputs if output not in seen]
                seen.update(fresh)
                pending += fresh
    return False


def _readers(value: ir.Value) -> Sequence[ir.Node]:
    return [use.node for use in value.uses()]


def _centers(node: ir.Node) -> bool:
    """Whether a mean is only taken off again."""
    mean = node.outputs[0]
    if node.op_type == "ReduceSum" or mean.is_graph_output():
        return False
    return all(
        _from_mean(reader) and reader.inputs[0] is node.inputs[0] for reader in _readers(mean)
    )


def _squares(node: ir.Node) -> bool:
    return node.op_type == "Mul" and node.inputs[0] is node.inputs[1]


def _off(ratio: float) -> float:
    """By how much wider a range has to be; 1.0 where steps differ.

    Args:
        ratio: levels of the difference to one step of what it is taken of.
    """
    whole = round(ratio)
    if not 1 <= whole <= LARGEST or abs(ratio / whole - 1.0) >= APART:
        return 1.0
    return ratio / whole / (1.0 - APART)
