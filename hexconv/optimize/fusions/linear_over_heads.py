"""A Linear over the heads of attention is a convolution as high as there are heads.

Attention answers [B,H,T,dh] with heads on H, time on W and the width of a head on D. The Linear
behind sums over heads and widths: so does a kernel of H x 1 on what lies there, without the
transpose to [B,T,H,dh] and the reshape in front of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.build import shape_of
from hexconv.optimize.fusions.edit import own_node, remove
from hexconv.optimize.fusions.linear_over_image import flattened, maker
from hexconv.optimize.registry import Bounds, Stage, rewrite

LANES = 32


@rewrite(Stage.FUSION)
def linear_over_heads(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """Transpose, Reshape and Linear behind attention: one convolution over all heads."""
    count = 0
    for node in graph.nodes:
        found = flattened(node)
        if found is None or not _attention(found[2]):
            continue
        reshape, transpose, mixed = found
        made = own_node("LinearOverHeads", node, [mixed, *node.inputs[1:]], node.outputs[0])
        made.meta.update(node.meta)
        remove(node, reshape, transpose)
        count += 1
    return count


def _attention(value: ir.Value) -> bool:
    """A batched product whose heads fill whole vectors, and are no more than its rows."""
    _, heads, frames, width = shape_of(value)
    return maker(value, "MatMul") is not None and width % LANES == 0 and heads <= frames
