"""A factor and an addend per channel, as at the end of normalizations: one node instead of two.

As Mul and Add both constants need a conversion to d32 of their own as well: four nodes.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, is_row, shape_of
from hexconv.optimize.fusions.edit import insert_custom_op, only_reader, remove
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import Bounds


@rewrite(Stage.FUSION)
def affine(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """x * gamma + beta along the last axis is one BatchNorm."""
    count = 0
    for node in graph.nodes:
        source = _channels(node, "Mul")
        add = only_reader(node.outputs[0]) if source is not None else None
        if source is None or add is None or _channels(add, "Add") is None:
            continue
        insert_custom_op("Affine", add, [source, _constant(node), _constant(add)], add.outputs[0])
        remove(add, node)
        count += 1
    return count


def _channels(node: ir.Node, op: str) -> ir.Value | None:
    """The computed operand, if the other is one constant per channel of the last axis."""
    if node.op_type != op or node.domain:
        return None
    for value, other in (node.inputs, node.inputs[::-1]):
        array = array_of(other)
        if array is None or value is None or array_of(value) is not None:
            continue
        shape = shape_of(value)
        if shape and shape[-1] > 1 and is_row(array, shape[-1]):
            return value if shape == shape_of(node.outputs[0]) else None
    return None


def _constant(node: ir.Node) -> ir.Value | None:
    return next(value for value in node.inputs if array_of(value) is not None)
