"""Ops that ONNX Runtime's optimizer fuses in its own domain, as the ONNX ops that they stand for.

Formulas: ONNX Runtime, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.node_edit import integer
from hexconv.onnx_graph.rules import MODERNIZATIONS

PARAMETERS: dict[str, tuple[str, ...]] = {
    "": (),
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Clip": ("min", "max"),
}
"""Activations that are fused, and what `activation_params` holds of each."""


@MODERNIZATIONS.rule("com.microsoft::FusedConv")
def fused_convolution(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Conv of X, W, B, plus Z, then an activation."""
    names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    attrs = {name: node.attributes[name].value for name in names if name in node.attributes}
    result = builder.op("Conv", list(node.inputs[:3]), attrs)
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        result = builder.op("Add", [result, node.inputs[3]])
    given = node.attributes.get("activation_params")
    return [_activated(result, node, list(given.as_floats()) if given else [], builder)]


@MODERNIZATIONS.rule("com.microsoft::FusedGemm")
def fused_gemm(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Gemm, then an activation whose parameters are attributes of their own."""
    names = ("alpha", "beta", "transA", "transB")
    attrs = {name: node.attributes[name].value for name in names if name in node.attributes}
    result = builder.op("Gemm", list(node.inputs), attrs)
    given = [node.attributes.get(f"activation_{name}") for name in ("alpha", "beta")]
    return [_activated(result, node, [attr.as_float() for attr in given if attr], builder)]


def _activated(
    value: ir.Value, node: ir.Node, given: Sequence[float], builder: FloatBuilder
) -> ir.Value:
    attr = node.attributes.get("activation")
    op = "" if attr is None else attr.as_string()
    if op not in PARAMETERS or (op == "Clip" and len(given) < 2):
        raise UnsupportedOpError(
            f"the activation '{op}' of {node.op_type} is unknown",
            node=str(node.name),
            op=f"com.microsoft::{node.op_type}",
            hint="convert the file from before ONNX Runtime's optimizer",
        )
    if not op:
        return value
    if op == "Clip":
        bounds = [np.float32(number) for number in given[:2]]
        return builder.op("Clip", [value, *bounds], name=str(node.name))
    attrs = dict(zip(PARAMETERS[op], map(float, given), strict=False))
    return builder.op(op, [value], attrs, name=str(node.name))


@MODERNIZATIONS.rule("com.microsoft::FusedMatMul", "com.microsoft::TransposeMatMul")
def fused_product(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """alpha times the product of A and B, their last two axes (or the batch axes too) swapped."""
    operands = []
    for side, value in zip("AB", node.inputs[:2], strict=True):
        swapped = integer(node, f"trans{side}", 0)
        operands.append(_turned(value, swapped, integer(node, f"transBatch{side}", 0), builder))
    alpha = node.attributes.get("alpha")
    factor = 1.0 if alpha is None else alpha.as_float()
    result = builder.op("MatMul", operands, name=str(node.name))
    return [result if factor == 1.0 else builder.op("Mul", [result, np.float32(factor)])]


def _turned(value: ir.Value | None, swap: int, batch: int, builder: FloatBuilder) -> ir.Value:
    """`transBatch` moves the axis before the last two ones to the front: [1, ..., r-2, 0, r-1]."""
    assert value is not None
    rank = len(shape_of(value))
    order = list(range(rank))
    if batch and rank > 2:
        order = [*range(1, rank - 1), 0, rank - 1]
    if swap and rank > 1:
        order[-2], order[-1] = order[-1], order[-2]
    if order == list(range(rank)):
        return value
    return builder.op("Transpose", [value], {"perm": order})


@MODERNIZATIONS.rule("com.microsoft::BiasGelu")
def bias_gelu(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Gelu of a sum."""
    total = builder.op("Add", list(node.inputs[:2]))
    return [builder.op("Gelu", [total], name=str(node.name))]


@MODERNIZATIONS.rule("com.microsoft::SkipLayerNormalization")
def skip_layer_norm(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value | None]:
    """LayerNormalization of input + skip + bias; the sum is the fourth output."""
    source, skip, gamma, beta, bias = [*node.inputs, None, None][:5]
    total = builder.op("Add", [source, skip])
    if bias is not None:
        total = builder.op("Add", [total, bias])
    attrs = {"axis": -1, "epsilon": _epsilon(node)}
    return _with_sum(builder.op("LayerNormalization", [total, gamma, beta], attrs), total, node)


@MODERNIZATIONS.rule("com.microsoft::SkipSimplifiedLayerNormalization")
def skip_rms_norm(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value | None]:
    """RMSNormalization of input + skip + bias; the sum is the fourth output."""
    source, skip, gamma, bias = [*node.inputs, None][:4]
    total = builder.op("Add", [source, skip])
    if bias is not None:
        total = builder.op("Add", [total, bias])
    attrs = {"axis": -1, "epsilon": _epsilon(node)}
    return _with_sum(builder.op("RMSNormalization", [total, gamma], attrs), total, node)


def _epsilon(node: ir.Node) -> float:
    attr = node.attributes.get("epsilon")
    return 1e-5 if attr is None else attr.as_float()


def _with_sum(result: ir.Value, total: ir.Value, node: ir.Node) -> list[ir.Value | None]:
    outputs: list[Any] = [result, None, None, total]
    for value in node.outputs[1:3]:
        if value.name and (value.uses() or value.is_graph_output()):
            raise UnsupportedOpError(
                "the mean or the inverse deviation of a layer norm is read",
                node=str(node.name),
                op=f"com.microsoft::{node.op_type}",
                hint="convert the file from before ONNX Runtime's optimizer",
            )
    return outputs[: len(node.outputs)]


@MODERNIZATIONS.rule("SimplifiedLayerNormalization")
def rms_norm(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """ONNX Runtime's older name of RMSNormalization, in ONNX's own domain."""
    attrs = {"axis": integer(node, "axis", -1), "epsilon": _epsilon(node)}
    return [builder.op("RMSNormalization", list(node.inputs[:2]), attrs, name=str(node.name))]
