"""A factor or an addend for each channel, after a node that has its own."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.arrays import FloatArray as Array
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rewrites.batch_norm import scaled_weights
from hexconv.onnx_graph.rewrites.match import made_by, name_of, read_once
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Mul", "Add", recognition=True)
def channel_affine_taken_in(node: ir.Node, builder: FloatBuilder) -> bool:
    """Constants by channel after Conv, ConvTranspose or BatchNormalization go into its own."""
    for position in (0, 1):
        before = made_by(node.inputs[position], "Conv", "ConvTranspose", "BatchNormalization")
        numbers = array_of(node.inputs[1 - position])
        if before is None or numbers is None or not read_once(before.outputs[0]):
            continue
        values = _by_channel(numbers, shape_of(before.outputs[0]))
        if values is None or shape_of(node.outputs[0]) != shape_of(before.outputs[0]):
            continue
        inputs = _with(node.op_type, before, values, builder)
        if inputs is None:
            continue
        attrs = {name: attr.value for name, attr in before.attributes.items()}
        builder.replace(node, [builder.op(before.op_type, inputs, attrs, name=str(before.name))])
        return True
    return False


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
