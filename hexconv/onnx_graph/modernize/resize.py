"""Upsample and the old Resize as today's Resize."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.rules import MODERNIZATIONS


@MODERNIZATIONS.rule("Upsample", below=10)
def upsample(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Upsample (7: `scales` an attribute, 9: an input) is an asymmetric Resize that floors."""
    attr = node.attributes.get("scales")
    scales: ir.Value | None
    if attr is not None:
        scales = builder.const(np.array(attr.as_floats(), np.float32), f"{node.name}_scales")
    else:
        scales = node.inputs[1]
    return [_resize(node, builder, scales, "floor")]


@MODERNIZATIONS.rule("Resize", below=11)
def resize_10(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Resize of opset 10: asymmetric; nearest floors when it enlarges, ceils when it shrinks.

    ONNX's test vectors and onnxruntime's `ResizeNearestMode::SIMPLE` do the same.
    """
    scales = array_of(node.inputs[1])
    if scales is None or (scales.max() > 1 and scales.min() < 1):
        raise UnsupportedOpError(
            "Resize of opset 10 enlarges one axis and shrinks another, or its factor is unknown",
            node=str(node.name),
            op="Resize",
            hint="export the model with opset 11 or newer",
        )
    rounding = "ceil" if scales.min() < 1 else "floor"
    return [_resize(node, builder, node.inputs[1], rounding)]


def _resize(
    node: ir.Node, builder: FloatBuilder, scales: ir.Value | None, rounding: str
) -> ir.Value:
    attr = node.attributes.get("mode")
    mode = "nearest" if attr is None else attr.as_string()
    attrs = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    if mode == "nearest":
        attrs["nearest_mode"] = rounding
    inputs = [node.inputs[0], None, scales]
    return builder.op("Resize", inputs, attrs, name=str(node.name))


@MODERNIZATIONS.rule("Resize", below=None)
def resize_empty_inputs(node: ir.Node, builder: FloatBuilder) -> None:
    """Opset 11 requires `roi` and `scales` even without effect: empty ones are removed."""
    for position in (1, 2, 3):
        if position < len(node.inputs):
            array = array_of(node.inputs[position])
            if array is not None and array.size == 0:
                node.replace_input_with(position, None)
    mode = node.attributes.get("coordinate_transformation_mode")
    if mode is not None and mode.as_string() == "tf_half_pixel_for_nn":
        raise UnsupportedOpError(
            "Resize with tf_half_pixel_for_nn was removed from ONNX",
            node=str(node.name),
            op="Resize",
            hint="export the model with half_pixel",
        )
