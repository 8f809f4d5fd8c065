"""Layer norm's gamma and beta folded into the products that read it beside a sum.

In a post-norm network (BERT) y = n * gamma + beta is read by Linears and by the next sum of the
stream. The sum needs y; the Linears read n, with gamma in their weights and beta in their biases.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.optimize.on_float.norm_affine_into_linear import (
    NORMS,
    fold_into,
    is_linear,
    make_plain,
)
from hexconv.optimize.registry import Stage, rewrite


@rewrite(Stage.FLOAT, accuracy=True)
def norm_affine_beside_sum(graph: FloatGraph) -> int:
    """Linears read n, not n * gamma + beta, which is left to the sum beside them."""
    builder = FloatBuilder(graph.graph)
    norms = [node for node in graph.nodes if node.op_type in NORMS and _is_read_by_both(node)]
    for node in norms:
        _part(node, builder)
    return len(norms)


def _is_read_by_both(node: ir.Node) -> bool:
    """Whether products with constants read a norm, and sums that are normalized."""
    value, width = node.outputs[0], shape_of(node.inputs[0])[-1]
    rows = [array_of(item) for item in node.inputs[1:] if item is not None]
    if any(row is None or row.shape != (width,) for row in rows) or value.is_graph_output():
        return False
    if notes_of(node).float_reason or (len(rows) == 1 and not np.any(rows[0] != 1.0)):
        return False
    readers = [use.node for use in value.uses()]
    others = [reader for reader in readers if not is_linear(reader, value)]
    return 0 < len(others) < len(readers) and all(map(_is_normalized, others))


def _is_normalized(node: ir.Node) -> bool:
    """Whether a node is a sum that a norm reads."""
    readers = [use.node.op_type for use in node.outputs[0].uses()]
    return node.op_type == "Add" and any(op in NORMS for op in readers)


def _part(node: ir.Node, builder: FloatBuilder) -> None:
    """Let sums read the norm times gamma plus beta, and products the norm without."""
    value, name = node.outputs[0], str(node.outputs[0].name)
    gamma, *beta = [item for item in node.inputs[1:] if item is not None]
    rows = [np.asarray(array_of(item), np.float32) for item in (gamma, *beta)]
    uses = [(use.node, use.idx) for use in value.uses()]
    for reader, _ in uses:
        if is_linear(reader, value):
            fold_into(reader, rows[0], rows[1] if beta else None, builder)
    make_plain(node, builder)
    nodes = list(builder.graph)
    builder.at(nodes[nodes.index(node) + 1])
    total = builder.op("Mul", [value, gamma], name=f"{node.name}/times_gamma")
    if beta:
        total = builder.op("Add", [total, beta[0]], name=f"{node.name}/plus_beta")
    total.name = name
    for reader, position in uses:
        if not is_linear(reader, value):
            reader.replace_input_with(position, total)
