"""Nodes without effect: plus 0, times 1, a slice of everything, a pad of nothing."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import SIMPLIFICATIONS

NEUTRAL = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0, "Pow": 1.0}
COMMUTATIVE = ("Add", "Mul")


@SIMPLIFICATIONS.rule(
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Expand",
    "Tile",
    "Slice",
    "Pad",
    "Clip",
    "Resize",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceSum",
    "Concat",
    "Split",
)
def drop_neutral(node: ir.Node, builder: FloatBuilder) -> bool:
    """Readers of x + 0, x * 1, x^1, x[:], pad(x, 0)... read x, where the shape is the same."""
    value = _unchanged(node)
    if value is None or shape_of(value) != shape_of(node.outputs[0]):
        return False
    if node.outputs[0].is_graph_output() and (value.is_graph_input() or value.is_graph_output()):
        return False
    builder.replace(node, [value])
    return True


def _unchanged(node: ir.Node) -> ir.Value | None:
    """The input that the node returns, if its shape is the output's."""
    if node.op_type in NEUTRAL:
        wanted = NEUTRAL[node.op_type]
        if _number(node.inputs[1]) == wanted:
            return node.inputs[0]
        if node.op_type in COMMUTATIVE and _number(node.inputs[0]) == wanted:
            return node.inputs[1]
        return None
    check = CHECKS.get(node.op_type)
    return node.inputs[0] if check is None or check(node) else None


def _number(value: ir.Value | None) -> float | None:
    """A constant of one element; a whole tensor of ones is a weight that happens to be ones."""
    array = array_of(value)
    return float(array.item()) if array is not None and array.size == 1 else None


def _forward(node: ir.Node) -> bool:
    steps = array_of(node.inputs[4]) if len(node.inputs) > 4 else None
    return steps is None or bool((steps > 0).all())


def _nothing_padded(node: ir.Node) -> bool:
    amounts = array_of(node.inputs[1])
    return amounts is not None and not amounts.any()


def _unbounded(node: ir.Node) -> bool:
    return all(value is None for value in node.inputs[1:])


def _alone(node: ir.Node) -> bool:
    return len(node.inputs) == 1


def _undivided(node: ir.Node) -> bool:
    return len(node.outputs) == 1


def _unscaled(node: ir.Node) -> bool:
    mode = node.attributes.get("coordinate_transformation_mode")
    return mode is None or mode.as_string() != "tf_crop_and_resize"


CHECKS: dict[str, Callable[[ir.Node], bool]] = {
    "Slice": _forward,
    "Pad": _nothing_padded,
    "Clip": _unbounded,
    "Concat": _alone,
    "Split": _undivided,
    "Resize": _unscaled,
}
