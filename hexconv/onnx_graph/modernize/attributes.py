"""Attributes that became inputs: axes, starts, pads, bounds, k."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.arrays import FLOAT32_MAX
from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.node_edit import attr_to_input, set_input
from hexconv.onnx_graph.rules import MODERNIZATIONS


@MODERNIZATIONS.rule("Squeeze", "Unsqueeze", "ReduceSum", below=13)
@MODERNIZATIONS.rule(
    "ReduceMax",
    "ReduceMin",
    "ReduceMean",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceSumSquare",
    below=18,
)
def axes_to_input(node: ir.Node, builder: FloatBuilder) -> None:
    """`axes` is input 1 since opset 13 (ReduceSum, Squeeze, Unsqueeze) and 18 (the others)."""
    attr_to_input(node, builder, "axes", 1)


@MODERNIZATIONS.rule("Slice", below=10)
def slice_to_inputs(node: ir.Node, builder: FloatBuilder) -> None:
    """`starts`, `ends` and `axes` are inputs 1 to 3 since opset 10."""
    for position, name in enumerate(("starts", "ends", "axes"), 1):
        attr_to_input(node, builder, name, position)


@MODERNIZATIONS.rule("Pad", below=11)
def pad_to_inputs(node: ir.Node, builder: FloatBuilder) -> None:
    """`pads` and `value` are inputs 1 and 2 since opset 11."""
    attr_to_input(node, builder, "pads", 1)
    value = node.attributes.pop("value", None)
    if value is not None:
        number = np.float32(value.as_float())
        set_input(node, 2, builder.const(number, f"{node.name}_value"))


@MODERNIZATIONS.rule("TopK", below=10)
def topk_to_input(node: ir.Node, builder: FloatBuilder) -> None:
    """`k` is input 1 since opset 10, a list of one."""
    k = int(node.attributes.pop("k").as_int())
    set_input(node, 1, builder.const(np.array([k], np.int64), f"{node.name}_k"))


@MODERNIZATIONS.rule("Clip", below=11)
def clip_to_inputs(node: ir.Node, builder: FloatBuilder) -> None:
    """`min` and `max` are inputs since opset 11; the old defaults, float's limits, are removed."""
    for position, name in ((1, "min"), (2, "max")):
        attr = node.attributes.pop(name, None)
        if attr is not None and abs(attr.as_float()) < FLOAT32_MAX:
            bound = np.float32(attr.as_float())
            set_input(node, position, builder.const(bound, f"{node.name}_{name}"))


@MODERNIZATIONS.rule("Clip")
def clip_without_infinite_bounds(node: ir.Node, builder: FloatBuilder) -> None:
    """A bound without effect is removed."""
    for position, sign in ((1, -1.0), (2, 1.0)):
        if position >= len(node.inputs):
            return
        bound = node.inputs[position]
        if bound is None or bound.const_value is None:
            continue
        number = bound.const_value.numpy()
        if number.size == 1 and number.dtype.kind == "f" and sign * number.item() >= FLOAT32_MAX:
            node.replace_input_with(position, None)


@MODERNIZATIONS.rule("Scatter", below=11)
def scatter(node: ir.Node, builder: FloatBuilder) -> list[ir.Value]:
    """Scatter is called ScatterElements since opset 11."""
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    return [builder.op("ScatterElements", list(node.inputs), attrs, name=str(node.name))]


@MODERNIZATIONS.rule("GridSample", below=20)
def grid_sample_mode(node: ir.Node, builder: FloatBuilder) -> None:
    """`bilinear` and `bicubic` are called `linear` and `cubic` since opset 20."""
    mode = node.attributes.get("mode")
    renamed = {"bilinear": "linear", "bicubic": "cubic"}
    if mode is None or mode.as_string() in renamed:
        new = renamed["bilinear" if mode is None else mode.as_string()]
        node.attributes["mode"] = ir.AttrString("mode", new)
