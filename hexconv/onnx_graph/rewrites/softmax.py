"""Softmax from its parts: exp(x - max) over its sum."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Div", recognition=True)
def softmax(node: ir.Node, builder: FloatBuilder) -> bool:
    """exp(x) / sum(exp(x)), with or without a maximum subtracted, along one axis."""
    exponential, total = node.inputs
    producer = None if exponential is None else exponential.producer()
    if producer is None or producer.op_type != "Exp" or total is None:
        return False
    axis = _kept_axis(total, "ReduceSum", exponential)
    if axis is None:
        return False
    source = producer.inputs[0]
    shift = None if source is None else source.producer()
    if shift is not None and shift.op_type == "Sub" and shift.inputs[1] is not None:
        highest = _kept_axis(shift.inputs[1], "ReduceMax", shift.inputs[0])
        source = shift.inputs[0] if highest == axis else source
    builder.replace(node, [builder.op("Softmax", [source], {"axis": axis}, name=str(node.name))])
    return True


def _kept_axis(value: ir.Value, op: str, source: ir.Value | None) -> int | None:
    """The one axis over which `op` reduces `source`, keeping it, to compute `value`."""
    node = value.producer()
    if node is None or node.op_type != op or node.inputs[0] is not source:
        return None
    keep = node.attributes.get("keepdims")
    axes = array_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if (keep is not None and not keep.as_int()) or axes is None or axes.size != 1:
        return None
    return int(axes.reshape(-1)[0]) % len(shape_of(source))
