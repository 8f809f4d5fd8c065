"""Transposes in a row, and transposes that move nothing."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rewrites.match import made_by
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Transpose")
def one_transpose(node: ir.Node, builder: FloatBuilder) -> bool:
    """Two transposes become one, with an explicit permutation; an identity is removed."""
    value = node.inputs[0]
    assert value is not None
    perm = _perm(node)
    before = made_by(value, "Transpose")
    if before is not None and before.inputs[0] is not None:
        first = _perm(before)
        value, perm = before.inputs[0], [first[axis] for axis in perm]
    if perm == sorted(perm):
        if node.outputs[0].is_graph_output() and value.is_graph_input():
            return False
        builder.replace(node, [value])
        return True
    if before is None:
        node.attributes["perm"] = ir.AttrInt64s("perm", perm)
        return False
    builder.replace(node, [builder.op("Transpose", [value], {"perm": perm}, name=str(node.name))])
    return True


def _perm(node: ir.Node) -> list[int]:
    attr = node.attributes.get("perm")
    if attr is not None:
        return [int(axis) for axis in attr.as_ints()]
    return list(reversed(range(len(shape_of(node.inputs[0])))))
