"""Checks that ONNX's shape inference lacks: sizes of operands that must agree.

Axes and amounts of single ops are in `arguments`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod

import onnx_ir as ir

from hexconv.errors import ModelError
from hexconv.onnx_graph.arguments import ARGUMENTS, constant_input, too_wide

Shape = tuple[int, ...]


def check_operands(node: ir.Node) -> None:
    """Raise for a node whose operands contradict each other.

    Raises:
        ModelError: channels, groups, axes or numbers of elements do not agree.
    """
    check = CHECKS.get(node.op_type)
    if check is None or node.domain:
        return
    shapes = [_shape(value) for value in node.inputs]
    problem = check(node, shapes)
    if problem:
        raise ModelError(
            "a node does not fit its inputs",
            where=f"node '{node.name}' ({node.op_type})",
            why=problem,
        )


def _shape(value: ir.Value | None) -> Shape | None:
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return tuple(value.shape.numpy())


def _group(node: ir.Node) -> int:
    attr = node.attributes.get("group")
    return 1 if attr is None else int(attr.as_int())


def _conv(node: ir.Node, shapes: list[Shape | None]) -> str:
    x, w, group = shapes[0], shapes[1], _group(node)
    if x is None or w is None or len(x) < 3 or len(w) != len(x):
        return f"input and weights have shapes {x} and {w}"
    if group < 1 or w[0] % group:
        return f"{w[0]} output channels do not divide into {group} groups"
    if x[1] != w[1] * group:
        return f"the input has {x[1]} channels, the weights expect {w[1] * group}"
    return _bias(shapes, w[0]) or too_wide(node, shapes)


def _conv_transpose(node: ir.Node, shapes: list[Shape | None]) -> str:
    x, w, group = shapes[0], shapes[1], _group(node)
    if x is None or w is None or len(x) < 3 or len(w) != len(x):
        return f"input and weights have shapes {x} and {w}"
    if group < 1 or w[0] % group:
        return f"{w[0]} input channels do not divide into {group} groups"
    if x[1] != w[0]:
        return f"the input has {x[1]} channels, the weights expect {w[0]}"
    return _bias(shapes, w[1] * group) or too_wide(node, shapes)


def _bias(shapes: list[Shape | None], channels: int) -> str:
    bias = shapes[2] if len(shapes) > 2 else None
    if bias is not None and bias != (channels,):
        return f"the bias has shape {bias} for {channels} channels"
    return ""


def _per_channel(node: ir.Node, shapes: list[Shape | None]) -> str:
    x = shapes[0]
    if x is None or len(x) < 2:
        return f"the input has shape {x}"
    wrong = [shape for shape in shapes[1:] if shape != (x[1],)]
    return f"{x[1]} channels have parameters of shape {wrong[0]}" if wrong else ""


def _batch_norm(node: ir.Node, shapes: list[Shape | None]) -> str:
    if fault := _per_channel(node, shapes):
        return fault
    variance = constant_input(node, 4)
    if variance is None:
        return ""
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    least = float(variance.min(initial=inf))
    if least + epsilon > 0:
        return ""
    return f"a variance of {least:g} and epsilon of {epsilon:g} have no square root to divide by"


def _over_space(node: ir.Node, shapes: list[Shape | None]) -> str:
    x = shapes[0]
    if x is not None and len(x) < 3:
        return f"the input has shape {x}, which has no space to normalize over"
    return _per_channel(node, shapes)


def _reshape(node: ir.Node, shapes: list[Shape | None]) -> str:
    x, y = shapes[0], _shape(node.outputs[0])
    if x is not None and y is not None and prod(x) != prod(y):
        return f"{list(x)} has {prod(x)} elements, {list(y)} has {prod(y)}"
    return ""


CHECKS: dict[str, Callable[[ir.Node, list[Shape | None]], str]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _over_space,
    "Reshape": _reshape,
    **ARGUMENTS,
}
