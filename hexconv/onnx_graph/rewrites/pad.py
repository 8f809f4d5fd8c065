"""Pad before a convolution or a pool that can do the padding itself."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.modernize.infinities import BEYOND
from hexconv.onnx_graph.rewrites.match import made_by, scalar
from hexconv.onnx_graph.rules import MODERNIZATIONS, SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Conv")
def pad_into_conv(node: ir.Node, builder: FloatBuilder) -> bool:
    """Zeros that a Pad adds around the spatial axes become the convolution's own pads."""
    pad = made_by(node.inputs[0], "Pad")
    pads = None if pad is None else _pads_with(pad, node)
    if pad is None or pads is None:
        return False
    value = _value(pad)
    if value is not None and scalar(value) != 0.0:
        return False
    _take(pad, pads, node, builder)
    return True


@MODERNIZATIONS.rule("MaxPool")
def pad_into_max_pool(node: ir.Node, builder: FloatBuilder) -> bool:
    """Numbers below every float that a Pad adds become the pool's own pads, which are -infinity.

    Not where a window could be of padding alone, and not where the positions of maxima are read.
    """
    pad = made_by(node.inputs[0], "Pad")
    pads = None if pad is None else _pads_with(pad, node)
    number = None if pad is None else scalar(_value(pad))
    if pad is None or pads is None or number is None or number > -BEYOND:
        return False
    kernel = node.attributes["kernel_shape"].as_ints()
    dilations, ceil = node.attributes.get("dilations"), node.attributes.get("ceil_mode")
    if (dilations is not None and max(dilations.as_ints()) > 1) or (ceil and ceil.as_int()):
        return False
    if len(node.outputs) > 1:
        return False
    if any(amount >= size for amount, size in zip(pads, 2 * list(kernel), strict=True)):
        return False
    _take(pad, pads, node, builder)
    return True


def _value(pad: ir.Node) -> ir.Value | None:
    return pad.inputs[2] if len(pad.inputs) > 2 else None


def _pads_with(pad: ir.Node, node: ir.Node) -> list[int] | None:
    """The pads of a node that does what a Pad before it does as well; None if it cannot.

    It cannot where it pads by `auto_pad` (SAME depends on the size), where the Pad crops, or
    touches batch or channels.
    """
    auto, mode = node.attributes.get("auto_pad"), pad.attributes.get("mode")
    amounts = array_of(pad.inputs[1])
    if auto is not None and auto.as_string() not in ("NOTSET", "VALID", ""):
        return None
    if amounts is None or (mode is not None and mode.as_string() != "constant"):
        return None
    rank = len(shape_of(pad.inputs[0]))
    axes = array_of(pad.inputs[3]) if len(pad.inputs) > 3 else None
    begin, end = [0] * rank, [0] * rank
    listed = range(rank) if axes is None else [int(axis) % rank for axis in axes]
    for position, axis in enumerate(listed):
        begin[axis] = int(amounts[position])
        end[axis] = int(amounts[position + len(listed)])
    if any(begin[:2] + end[:2]) or min(begin + end) < 0:
        return None
    own, extra = node.attributes.get("pads"), begin[2:] + end[2:]
    return [a + b for a, b in zip(own.as_ints(), extra, strict=True)] if own else extra


def _take(pad: ir.Node, pads: list[int], node: ir.Node, builder: FloatBuilder) -> None:
    """Let the node pad, and remove the Pad that nothing else reads."""
    node.attributes.pop("auto_pad", None)
    node.attributes["pads"] = ir.AttrInt64s("pads", pads)
    node.replace_input_with(0, pad.inputs[0])
    if not pad.outputs[0].uses() and not pad.outputs[0].is_graph_output():
        builder.remove(pad)
