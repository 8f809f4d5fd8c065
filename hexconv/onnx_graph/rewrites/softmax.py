"""Softmax from its parts: exp(x - max) over its sum; LogSoftmax from a Softmax and a Log."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rewrites.match import made_by
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


@SIMPLIFICATIONS.rule("Log", recognition=True)
def log_softmax(node: ir.Node, builder: FloatBuilder) -> bool:
    """log(softmax(x)): LogSoftmax does not round the probabilities, most of which are near 0.

    A Reshape or Transpose may stand in between: it moves behind the logarithm.
    """
    mover = made_by(node.inputs[0], "Reshape", "Transpose")
    producer = made_by(node.inputs[0] if mover is None else mover.inputs[0], "Softmax")
    if producer is None:
        return False
    attrs, name = _attributes(producer), str(node.name)
    result = builder.op("LogSoftmax", [producer.inputs[0]], attrs, name=name)
    if mover is not None:
        result = builder.op(mover.op_type, [result, *mover.inputs[1:]], _attributes(mover))
    builder.replace(node, [result])
    return True


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {name: attr.value for name, attr in node.attributes.items()}


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
