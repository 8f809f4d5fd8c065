"""Sums whose values fall halfway between two levels of their result.

A convolution of equal weights, such as a sum of tensors, returns whole multiples of its input's
step. Where two of these are about one step of the result, every second value is about halfway
between two levels, and for tens of levels all of them are rounded to the same side: toward zero,
or away from it. Such an error is no noise, it is in step with the values, and what reads them adds
it up. A slightly wider range moves the values off the middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from hexconv.lowering.widened import levels_of_a_step, of_computed, widened
from hexconv.onnx_graph import NodeView
from hexconv.onnx_graph.builder import array_of
from hexconv.quantize import Bounds, Range

APART = 0.02
"""Levels that a multiple has to be off the middle for each step of the input: from 25 steps on the
error has had both signs. It widens a range by 8 % at most, a tenth of a bit."""


def off_halfway(
    nodes: Iterable[NodeView], ranges: Mapping[str, Range], observed: Mapping[str, Bounds]
) -> Mapping[str, Bounds]:
    """The observed ranges, those of such sums widened.

    Args:
        nodes: the float graph's nodes in order.
        ranges: of all values, as they were solved.
        observed: (min, max) of each computed value.

    Returns:
        `observed` itself where there is no such sum.
    """
    factors = {
        node.outputs[0]: _off(weight * levels_of_a_step(node, ranges))
        for node in of_computed(nodes, observed)
        if (weight := _one_weight(node)) is not None
    }
    return widened(observed, factors)


def _one_weight(node: NodeView) -> float | None:
    """The size that all weights of a convolution have, zeros left out; None if there is none."""
    if node.op != "Conv" or node.domain or len(node.inputs) < 2:
        return None
    weights = array_of(node.node.inputs[1])
    bias = array_of(node.node.inputs[2]) if node.has(2) else np.zeros(1)
    if weights is None or bias is None or not weights.any() or bias.any():
        return None
    sizes = np.unique(np.abs(weights[weights != 0.0]))
    return float(sizes[0]) if sizes.size == 1 else None


def _off(ratio: float) -> float:
    """By how much wider a range has to be; 1.0 where no multiple is halfway.

    Args:
        ratio: levels of the result to one step of the input.
    """
    halves = round(2.0 * ratio)
    if halves % 2 == 0 or abs(ratio - halves / 2) >= APART:
        return 1.0
    return ratio / (halves / 2 - APART)
