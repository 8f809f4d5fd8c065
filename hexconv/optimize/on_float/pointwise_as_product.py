"""A 1-D convolution of width 1 between transposes is a Linear.

Exporters write the Linears of a convolution module as Conv on [N,C,T] with a transpose on either
side. On the DSP the two are the same node; as MatMul the rewrites for Linears apply: gamma and
beta of a norm before it, the centering of a residual stream after it.
"""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph, NodeView
from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.optimize.registry import Stage, rewrite

CHANNELS_LAST = [0, 2, 1]


@rewrite(Stage.FLOAT)
def pointwise_as_product(graph: FloatGraph) -> int:
    """Conv of width 1 after or before a transpose is MatMul and Add on the untransposed tensor."""
    builder = FloatBuilder(graph.graph)
    count = 0
    for node in graph.nodes:
        if not _is_pointwise(node):
            continue
        before = _turn(node.inputs[0].producer()) if node.inputs[0] is not None else None
        behind = [turn for use in node.outputs[0].uses() if (turn := _turn(use.node)) is not None]
        if before is None and not behind:
            continue
        _replace(node, before, behind, builder)
        count += 1
    if count:
        remove_dead(graph.graph)
    return count


def _is_pointwise(node: ir.Node) -> bool:
    if node.op_type != "Conv" or node.domain:
        return False
    weights, view = array_of(node.inputs[1]), NodeView(node)
    return (
        weights is not None
        and weights.ndim == 3
        and weights.shape[2] == 1
        and int(view.attr("group", 1)) == 1
        and list(view.attr("strides", [1])) == [1]
        and list(view.attr("pads", [0, 0])) == [0, 0]
    )


def _turn(node: ir.Node | None) -> ir.Node | None:
    """The node, if it swaps channels and time."""
    if node is None or node.op_type != "Transpose" or node.domain:
        return None
    perm = node.attributes.get("perm")
    return node if perm is not None and list(perm.as_ints()) == CHANNELS_LAST else None


def _replace(
    node: ir.Node, before: ir.Node | None, behind: list[ir.Node], builder: FloatBuilder
) -> None:
    builder.at(node)
    turned = (
        before.inputs[0]
        if before is not None
        else builder.op("Transpose", [node.inputs[0]], {"perm": CHANNELS_LAST})
    )
    weights = array_of(node.inputs[1])
    assert weights is not None
    result = builder.op("MatMul", [turned, weights[:, :, 0].T.copy()])
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        result = builder.op("Add", [result, node.inputs[2]])
    back = builder.op("Transpose", [result], {"perm": CHANNELS_LAST}, name=str(node.name))
    for turn in behind:
        builder.transfer_uses(turn.outputs[0], result, turn)
    builder.replace(node, [back])
