"""Ranges beyond what was seen: few recordings do not reach what others do."""

from __future__ import annotations

from collections.abc import Mapping

from hexconv.calibrate import is_channel
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.intervals import interval
from hexconv.quantize import Bounds


def wider_ranges(
    graph: FloatGraph, ranges: Mapping[str, Bounds], share: float
) -> dict[str, Bounds]:
    """Ranges whose ends are farther from zero, as far as ops can return that.

    Args:
        graph: the float model.
        ranges: (min, max) of each value; sizes of channels stay as they are.
        share: of each end, by which it is farther.
    """
    values, found = graph.values(), dict(ranges)
    for name, (low, high) in ranges.items():
        if not is_channel(name):
            least, most = interval(values.get(name))
            found[name] = (
                min(low, max(low + min(low, 0.0) * share, least)),
                max(high, min(high + max(high, 0.0) * share, most)),
            )
    return found
