"""LeakyReLU in the library's cheaper form."""

from __future__ import annotations

from collections.abc import Mapping

from hexconv.annotations import annotate
from hexconv.onnx_graph import FloatGraph
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import Bounds


@rewrite(Stage.FUSION)
def prelu_own_range(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """QuantizedPRelu_8 takes the range from its input's: a quarter of PRelu_8_V2's packets."""
    count = 0
    for node in graph.nodes:
        if node.op_type in ("LeakyRelu", "PRelu") and not node.domain:
            annotate(node, own_range=True)
            count += 1
    return count
