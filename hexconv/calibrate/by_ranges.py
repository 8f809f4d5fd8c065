"""What is rewritten because of the ranges that calibration found."""

from __future__ import annotations

from collections.abc import Mapping

from hexconv.calibrate.flat_softmax import flat_softmax
from hexconv.calibrate.masks import bounded_masks
from hexconv.onnx_graph import FloatGraph
from hexconv.quantize import Bounds


def rewrite_by_ranges(
    graph: FloatGraph, observed: Mapping[str, Bounds]
) -> tuple[dict[str, Bounds], dict[str, int]]:
    """Change a graph in place where 255 levels of the ranges observed would not do.

    Returns:
        The ranges, those of new values among them; how often each rewrite was applied, by name.
    """
    ranges = bounded_masks(graph, observed)
    ranges, flat = flat_softmax(graph, ranges)
    return ranges, {"flat_softmax": flat} if flat else {}
