"""A dilated convolution as a dense one with zeros between its taps."""

from __future__ import annotations

from collections.abc import Mapping

from hexconv.lowering.conv import DENSE
from hexconv.onnx_graph import FloatGraph
from hexconv.optimize.registry import Bounds, Stage, rewrite


@rewrite(Stage.FUSION, default=False)
def dilated_as_dense(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """More multiplications, but no SpaceToBatch and BatchToSpace around: the search weighs it."""
    count = 0
    for node in graph.nodes:
        dilations = node.attributes.get("dilations")
        if node.op_type == "Conv" and dilations and max(dilations.as_ints()) > 1:
            node.meta[DENSE] = True
            count += 1
    return count
