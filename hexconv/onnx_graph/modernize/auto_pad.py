"""Explicit padding of convolutions: ONNX Runtime has no auto_pad with dilations."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rules import MODERNIZATIONS


@MODERNIZATIONS.rule("Conv")
def explicit_pads(node: ir.Node, builder: FloatBuilder) -> None:
    """SAME_UPPER and SAME_LOWER: as many outputs as ceil(size / stride)."""
    mode = node.attributes.get("auto_pad")
    if mode is None or mode.as_string() not in ("SAME_UPPER", "SAME_LOWER"):
        return
    sizes, kernel = shape_of(node.inputs[0])[2:], shape_of(node.inputs[1])[2:]
    strides, dilations = (
        list(node.attributes[name].as_ints()) if name in node.attributes else [1] * len(kernel)
        for name in ("strides", "dilations")
    )
    if not len(sizes) == len(kernel) == len(strides) == len(dilations) or min(strides) < 1:
        return
    totals = [
        max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        for n, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    halves = [total // 2 for total in totals]
    rest = [total - half for total, half in zip(totals, halves, strict=True)]
    before, after = (halves, rest) if mode.as_string() == "SAME_UPPER" else (rest, halves)
    node.attributes.pop("auto_pad")
    node.attributes["pads"] = ir.AttrInt64s("pads", [*before, *after])
