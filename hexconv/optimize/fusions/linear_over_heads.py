"""A Linear over the heads of attention is a convolution whose kernel height is their number.

Attention returns [B,H,T,dh] with heads on H, time on W and the width of a head on D. The Linear
after it sums over heads and widths: so does a kernel of H x 1 on that layout, without the
transpose to [B,T,H,dh] and the reshape before it.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from hexconv.annotations import transfer_notes
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import shape_of
from hexconv.optimize.fusions.edit import insert_custom_op, remove
from hexconv.optimize.fusions.linear_over_image import maker
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import Bounds

LANES = 32
ROWS_FIRST = [0, 2, 1, 3]


@rewrite(Stage.FUSION)
def linear_over_heads(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """Transpose, Reshape and Linear after attention: one convolution over all heads."""
    count = 0
    for node in graph.nodes:
        found = _attention(node)
        if found is None:
            continue
        reshape, transpose, mixed = found
        made = insert_custom_op("LinearOverHeads", node, [mixed, *node.inputs[1:]], node.outputs[0])
        transfer_notes(node, made)
        remove(node, reshape, transpose)
        count += 1
    return count


def _attention(node: ir.Node) -> tuple[ir.Node, ir.Node, ir.Value] | None:
    """(Reshape, Transpose, product) before a Linear over all heads of each row.

    The heads fill complete vectors, and are no more than the rows.
    """
    reshape = maker(node.inputs[0], "Reshape") if node.op_type == "Linear" else None
    transpose = maker(reshape.inputs[0], "Transpose") if reshape else None
    mixed = transpose.inputs[0] if transpose else None
    if reshape is None or transpose is None or mixed is None or maker(mixed, "MatMul") is None:
        return None
    perm, shape = transpose.attributes.get("perm"), shape_of(mixed)
    if perm is None or len(shape) != 4 or shape[3] % LANES or shape[1] > shape[2]:
        return None
    moved = [axis for axis in perm.as_ints() if shape[axis] != 1]
    batch, heads, rows, width = shape
    flat = shape_of(reshape.outputs[0])
    if moved != [axis for axis in ROWS_FIRST if shape[axis] != 1] or flat[-1] != heads * width:
        return None
    whole = [size for size in flat[:-1] if size != 1] == [s for s in (batch, rows) if s != 1]
    return (reshape, transpose, mixed) if whole else None
