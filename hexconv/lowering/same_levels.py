"""Means in the range of what they are taken off, so that a row of one number leaves exactly 0.

Where rows lie around numbers far apart, x - mean(x) has far finer levels than x. In a range of its
own the mean of a row of one number everywhere, such as one that a Clip left, is that number rounded
once more, and what is left is no 0 but levels that a norm divides by the root of its epsilon. The
mean of equal values in their own range is their code. Its own range is hardly narrower there: it
spans what x spans, but for the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hexconv.lowering.mean_of_run import is_mean_of
from hexconv.lowering.widened import of_computed
from hexconv.onnx_graph import NodeView
from hexconv.onnx_graph.rewrites.match import name_of
from hexconv.onnx_graph.selections import moved_from
from hexconv.quantize import Bounds, Range

FINER = 2.0
"""Ratio of the step of x to that of the difference from which on a level of x is worth this."""
WIDER = 1.25
"""By how much the range of a mean may grow: a third of a bit, of one error of three."""


def at_levels_of_source(
    nodes: Iterable[NodeView], ranges: Mapping[str, Range], observed: Mapping[str, Bounds]
) -> dict[str, Range]:
    """The ranges, such means in that of what they are means of.

    Args:
        nodes: the float graph's nodes in order.
        ranges: of all values, as they were solved.
        observed: (min, max) of each computed value.
    """
    found = dict(ranges)
    for node in of_computed(nodes, observed):
        source, mean = node.node.inputs[0], node.node.inputs[-1]
        if node.op != "Sub" or node.domain or mean is None or not is_mean_of(mean, source):
            continue
        own, less = ranges[node.inputs[0]], ranges[node.inputs[1]]
        fine = own.step >= FINER * ranges[node.outputs[0]].step
        if fine and less.step <= own.step <= WIDER * less.step:
            found.update((name_of(value), own) for value in moved_from(mean))
    return found
