"""A factor or an addend for each channel, or for all, beside a node that has its own."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.arrays import FloatArray as Array
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rewrites.batch_norm import scaled_weights
from hexconv.onnx_graph.rewrites.match import made_by, name_of, read_once, with_scalar
from hexconv.onnx_graph.rules import SIMPLIFICATIONS

ACTIVATIONS = (
    *("Relu", "LeakyRelu", "PRelu", "Elu", "Celu", "Selu", "Sigmoid", "HardSigmoid", "Tanh"),
    *("HardSwish", "Swish", "Gelu", "Mish", "Softplus"),
)
"""Ops whose results lie around 0, or from about 0 on."""


@SIMPLIFICATIONS.rule("Mul", "Add", recognition=True)
def channel_affine_taken_in(node: ir.Node, builder: FloatBuilder) -> bool:
    """Constants by channel after Conv, ConvTranspose or BatchNormalization go into its own.

    A number for all channels goes with them where it is an addend, or one follows.
    """
    for position in (0, 1):
        before = made_by(node.inputs[position], "Conv", "ConvTranspose", "BatchNormalization")
        numbers = array_of(node.inputs[1 - position])
        if before is None or numbers is None or not read_once(before.outputs[0]):
            continue
        values = _by_channel(numbers, shape_of(before.outputs[0]))
        if values is None and _is_worth_it(node, numbers):
            values = _of_all(numbers, shape_of(before.outputs[0]))
        if values is None or shape_of(node.outputs[0]) != shape_of(before.outputs[0]):
            continue
        inputs = _with(node.op_type, before, values, builder)
        if inputs is None:
            continue
        attrs = {name: attr.value for name, attr in before.attributes.items()}
        builder.replace(node, [builder.op(before.op_type, inputs, attrs, name=str(before.name))])
        return True
    return False


@SIMPLIFICATIONS.rule("Conv", recognition=True)
def addend_taken_into_bias(node: ir.Node, builder: FloatBuilder) -> bool:
    """Conv(x + d, W, b) is Conv(x, W, b + sum of W d), of a number d and without zeros at the ends.

    The range of x has to reach 0 anyway: else that of x + d may be a small part of it.
    """
    added, weights = made_by(node.inputs[0], "Add"), array_of(node.inputs[1])
    biased = len(node.inputs) > 2 and node.inputs[2] is not None
    bias = array_of(node.inputs[2]) if biased else np.zeros(1, np.float32)
    if added is None or weights is None or bias is None or _is_padded(node):
        return False
    shape = shape_of(added.outputs[0])
    for value, other in (added.inputs, added.inputs[::-1]):
        numbers = array_of(other)
        if numbers is None or numbers.size != 1 or shape_of(value) != shape:
            continue
        if not read_once(added.outputs[0]) or not _reaches_zero(value):
            continue
        total = bias + _sums(weights, _of_all(numbers, shape))
        shift = builder.const(total.astype(np.float32), f"{name_of(node.inputs[1])}_shift")
        attrs = {name: attr.value for name, attr in node.attributes.items()}
        made = builder.op("Conv", [value, node.inputs[1], shift], attrs, name=str(node.name))
        builder.replace(node, [made])
        return True
    return False


def _reaches_zero(value: ir.Value | None) -> bool:
    """Whether a value is an activation times a number."""
    while (node := made_by(value, "Mul", "Div")) is not None and with_scalar(node) is not None:
        value = next(item for item in node.inputs if item and array_of(item) is None)
    return made_by(value, *ACTIVATIONS) is not None


def _is_padded(node: ir.Node) -> bool:
    pads, kind = node.attributes.get("pads"), node.attributes.get("auto_pad")
    automatic = kind is not None and kind.as_string() not in ("NOTSET", "VALID")
    return automatic or (pads is not None and any(pads.as_ints()))


def _sums(weights: Array, values: Array) -> Array:
    """(M,) what values (C,) of the channels add behind weights (M, C/group, ...)."""
    groups = values.size // weights.shape[1]
    own = np.repeat(values.reshape(groups, -1), weights.shape[0] // groups, axis=0)
    taps = weights.reshape(*weights.shape[:2], -1).sum(axis=2, dtype=np.float64)
    return np.asarray((taps * own).sum(axis=1))


def _is_worth_it(node: ir.Node, numbers: Array) -> bool:
    """Whether one number for all channels costs a node: a factor alone costs none."""
    if numbers.size != 1 or node.op_type == "Add":
        return numbers.size == 1
    uses = list(node.outputs[0].uses())
    behind = uses[0].node if read_once(node.outputs[0]) else node
    return behind.op_type == "Add" and any(array_of(v) is not None for v in behind.inputs)


def _of_all(numbers: Array, shape: tuple[int, ...]) -> Array:
    return np.full(shape[1], numbers.item(), np.float32)


def _by_channel(numbers: Array, shape: tuple[int, ...]) -> Array | None:
    """(C,) of an array that varies only along axis 1 of `shape`."""
    sizes = (1,) * (len(shape) - numbers.ndim) + numbers.shape
    if numbers.size == 1 or sizes != (1, shape[1], *[1] * (len(shape) - 2)):
        return None
    return numbers.reshape(-1)


def _with(
    op: str, before: ir.Node, values: Array, builder: FloatBuilder
) -> list[ir.Value | None] | None:
    """The inputs of `before`, combined with a factor ("Mul") or an addend ("Add")."""
    inputs = list(before.inputs)
    batch_norm = before.op_type == "BatchNormalization"
    weights = array_of(inputs[1])
    bias = array_of(inputs[2]) if len(inputs) > 2 else np.zeros(values.size, np.float32)
    if weights is None or bias is None:
        return None
    name = name_of(inputs[1])
    if op == "Add":
        total = builder.const(bias + values, f"{name}_shift")
        return [*inputs[:2], total, *inputs[3:]]
    scaled = weights * values if batch_norm else scaled_weights(before, weights, values)
    if scaled is None:
        return None
    shift = builder.const(bias * values, f"{name}_shift")
    return [inputs[0], builder.const(scaled, f"{name}_scaled"), shift, *inputs[3:]]
