"""Probabilities times a mask over their own sum: scores that the mask hides take no probability.

softmax(x) * m / sum(softmax(x) * m) returns the same whatever x is where m is 0. A hidden score
that is the largest of its row leaves the others less than a level of 255; with a number below the
others in its place the row keeps its probabilities, and the sum is near 1. Rows that are hidden
throughout stay 0 over the model's own guard against 0 / 0. A guard that is felt divides what the
mask left of a row too: s / (s + g) is the sigmoid of log(s / g), which has levels for small s.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.masks import MASKED
from hexconv.onnx_graph.rewrites.match import made_by, read_once, scalar
from hexconv.onnx_graph.rules import SIMPLIFICATIONS

LARGEST_GUARD = 1e-5
"""What may be added to the sum: rows that leave less to the mask have less than a level of 255."""
LARGEST_FELT = 1.0
"""What may be added where the quotient of the sum and the guarded sum is computed as well."""
MOVES = ("Expand", "Identity", "Reshape", "Unsqueeze")
GUARDS = ("Add", "Max", "Clip")


@SIMPLIFICATIONS.rule("Div", recognition=True)
def masked_softmax(node: ir.Node, builder: FloatBuilder) -> bool:
    """Hide the scores in front of the softmax, or exp, as well."""
    total = node.inputs[1]
    product = made_by(node.inputs[0], "Mul")
    axis = None if product is None else _summed_axis(total, product)
    if product is None or total is None or axis is None:
        return False
    felt = _felt(total)
    for value, mask in (product.inputs, tuple(reversed(product.inputs))):
        scores = None if value is None else _scores(value, axis)
        if value is None or scores is None or not _hides(mask, value) or _hidden(scores, mask):
            continue
        hidden = builder.op("Equal", [mask, np.float32(0.0)])
        seen = builder.op("Where", [hidden, np.float32(MASKED), scores])
        shares = builder.op("Softmax", [seen], {"axis": axis})
        kept = builder.op("Mul", [shares, mask])
        name = str(node.name)
        if felt:
            own = builder.op("Max", [_summed(kept, axis, builder), np.float32(LARGEST_GUARD)])
            left = builder.op(
                "Add", [_log_seen(scores, hidden, axis, builder), builder.op("Log", [own])]
            )
            if made_by(value, "Softmax") is not None:
                left = builder.op("Sub", [left, _log_sum(scores, axis, builder)])
            beside = builder.op("Sub", [left, np.float32(np.log(felt))])
            quotient = builder.op("Sigmoid", [beside])
            result = builder.op("Mul", [builder.op("Div", [kept, own]), quotient], name=name)
        else:
            result = builder.op("Div", [kept, _of(total, product, kept, builder)], name=name)
        builder.replace(node, [result])
        return True
    return False


def _summed(value: ir.Value, axis: int, builder: FloatBuilder) -> ir.Value:
    return builder.op("ReduceSum", [value, np.array([axis])], {"keepdims": 1})


def _log_seen(scores: ir.Value, hidden: ir.Value, axis: int, builder: FloatBuilder) -> ir.Value:
    """The logarithm of the sum of exp of the scores that a mask leaves.

    The maximum has a number of its own in the place of hidden scores: what a difference reads too
    is no mask.
    """
    seen = builder.op("Where", [hidden, np.float32(2 * MASKED), scores])
    top = builder.op("ReduceMax", [seen, np.array([axis])], {"keepdims": 1})
    below = builder.op("Min", [builder.op("Sub", [scores, top]), np.float32(0.0)])
    mass = builder.op("Where", [hidden, np.float32(0.0), builder.op("Exp", [below])])
    total = builder.op("Max", [_summed(mass, axis, builder), np.float32(1.0)])
    return builder.op("Add", [top, builder.op("Log", [total])])


def _log_sum(scores: ir.Value, axis: int, builder: FloatBuilder) -> ir.Value:
    return builder.op("ReduceLogSumExp", [scores, np.array([axis])], {"keepdims": 1})


def _of(value: ir.Value, product: ir.Node, kept: ir.Value, builder: FloatBuilder) -> ir.Value:
    """What is computed of a product, of another one: under new names, for it has other values."""
    if value is product.outputs[0]:
        return kept
    node = value.producer()
    if node is None:
        return value
    inputs = [None if item is None else _of(item, product, kept, builder) for item in node.inputs]
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    return builder.op(node.op_type, inputs, attributes)


def _summed_axis(total: ir.Value | None, product: ir.Node) -> int | None:
    """The axis over which a divisor sums a product up, with a guard against 0 or without."""
    while (node := made_by(total, *MOVES, *GUARDS)) is not None:
        if node.op_type in GUARDS and not _guards(node):
            return None
        total = next((value for value in node.inputs if array_of(value) is None), None)
    node = made_by(total, "ReduceSum", "ReduceL1")
    axes = array_of(node.inputs[1]) if node is not None and len(node.inputs) > 1 else None
    if node is None or node.inputs[0] is not product.outputs[0] or axes is None or axes.size != 1:
        return None
    return int(axes.item()) % len(shape_of(product.outputs[0]))


def _guards(node: ir.Node) -> bool:
    """Whether a node keeps a sum above a small number, or adds one."""
    numbers, largest = _numbers(node), LARGEST_FELT if node.op_type == "Add" else LARGEST_GUARD
    return numbers != [None] and all(0.0 <= (n or 0.0) <= largest for n in numbers)


def _numbers(node: ir.Node) -> list[float | None]:
    """The number that a node adds, or keeps a sum above."""
    if node.op_type == "Clip":
        return [scalar(node.inputs[1] if len(node.inputs) > 1 else None)]
    return [scalar(value) for value in node.inputs if array_of(value) is not None]


def _felt(total: ir.Value | None) -> float:
    """What is added to a sum that `_summed_axis` took, if it is felt; 0 otherwise."""
    while (node := made_by(total, *MOVES, *GUARDS)) is not None:
        largest = max((number or 0.0 for number in _numbers(node)), default=0.0)
        if node.op_type in GUARDS and largest > LARGEST_GUARD:
            return largest
        total = next((value for value in node.inputs if array_of(value) is None), None)
    return 0.0


def _scores(value: ir.Value, axis: int) -> ir.Value | None:
    """What a softmax along an axis, or an exponential, is computed of, for one reader."""
    node = made_by(value, "Softmax", "Exp") if read_once(value) else None
    if node is None or node.inputs[0] is None:
        return None
    if node.op_type == "Exp":
        return node.inputs[0]
    own = node.attributes.get("axis")
    same = (-1 if own is None else own.as_int()) % len(shape_of(value)) == axis
    return node.inputs[0] if same else None


def _hidden(scores: ir.Value, mask: ir.Value | None) -> bool:
    """Whether a mask hides scores already."""
    select = made_by(scores, "Where")
    equal = None if select is None else made_by(select.inputs[0], "Equal")
    return equal is not None and mask in equal.inputs


def _hides(mask: ir.Value | None, value: ir.Value) -> bool:
    """Whether a mask may have zeros, and no axis that what it masks does not have."""
    if mask is None or mask is value or made_by(mask, "Softmax") is not None:
        return False
    shape, wide = shape_of(mask), shape_of(value)
    if len(shape) > len(wide) or any(
        size not in (1, other) for size, other in zip(shape[::-1], wide[::-1], strict=False)
    ):
        return False
    array = array_of(mask)
    return array is None or bool((array == 0.0).any())
