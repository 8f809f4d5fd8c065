"""Pad before a convolution that can do the padding itself."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rewrites.match import made_by, scalar
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Conv")
def pad_into_conv(node: ir.Node, builder: FloatBuilder) -> bool:
    """Zeros that a Pad adds around the spatial axes become the convolution's own pads.

    Not where the convolution pads by `auto_pad` (SAME depends on the size), where the Pad crops,
    or touches batch or channels.
    """
    pad = made_by(node.inputs[0], "Pad")
    auto = node.attributes.get("auto_pad")
    if pad is None or (auto is not None and auto.as_string() not in ("NOTSET", "VALID", "")):
        return False
    mode = pad.attributes.get("mode")
    amounts = array_of(pad.inputs[1])
    value = pad.inputs[2] if len(pad.inputs) > 2 else None
    if amounts is None or (mode is not None and mode.as_string() != "constant"):
        return False
    if value is not None and scalar(value) != 0.0:
        return False
    rank = len(shape_of(pad.inputs[0]))
    axes = array_of(pad.inputs[3]) if len(pad.inputs) > 3 else None
    begin, end = [0] * rank, [0] * rank
    listed = range(rank) if axes is None else [int(axis) % rank for axis in axes]
    for position, axis in enumerate(listed):
        begin[axis] = int(amounts[position])
        end[axis] = int(amounts[position + len(listed)])
    if any(begin[:2] + end[:2]) or min(begin + end) < 0:
        return False
    own = node.attributes.get("pads")
    extra = begin[2:] + end[2:]
    pads = [a + b for a, b in zip(own.as_ints(), extra, strict=True)] if own else extra
    node.attributes.pop("auto_pad", None)
    node.attributes["pads"] = ir.AttrInt64s("pads", pads)
    node.replace_input_with(0, pad.inputs[0])
    if not pad.outputs[0].uses() and not pad.outputs[0].is_graph_output():
        builder.remove(pad)
    return True
