"""Ranges of the tensors that a conversion will introduce, for a range file."""

from __future__ import annotations

from collections.abc import Callable

from hexconv.calibrate.statistics import Ranges, Statistics
from hexconv.onnx_graph import FloatGraph

Measure = Callable[[FloatGraph], Statistics]


def with_introduced(
    ranges: Ranges, graph: FloatGraph, measure: Measure, percentile: float
) -> Ranges:
    """Ranges of a model's own tensors, and behind them those of tensors that are introduced.

    Args:
        ranges: of the model as it was exported.
        graph: as it will be lowered; it is run only if it has tensors without a range.
        measure: runs the samples through a graph.
        percentile: as for `Statistics.ranges`.
    """
    missing = [name for name in graph.computed_values() if name not in ranges]
    if not missing:
        return ranges
    found = measure(graph).ranges(percentile)
    return {**ranges, **{name: found[name] for name in missing}}
