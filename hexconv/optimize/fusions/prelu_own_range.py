"""LeakyReLU in the library's cheaper form."""

from __future__ import annotations

from collections.abc import Mapping

from hexconv.lowering.activation import OWN_RANGE
from hexconv.onnx_graph import FloatGraph
from hexconv.optimize.registry import Bounds, Stage, rewrite


@rewrite(Stage.FUSION)
def prelu_own_range(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """QuantizedPRelu_8 takes the range from its input's: a quarter of PRelu_8_V2's packets."""
    count = 0
    for node in graph.nodes:
        if node.op_type in ("LeakyRelu", "PRelu") and not node.domain:
            node.meta[OWN_RANGE] = True
            count += 1
    return count
