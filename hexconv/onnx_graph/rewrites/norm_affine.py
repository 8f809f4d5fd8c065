"""Scale and bias after a normalization without them."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rewrites.layer_norm import fitted
from hexconv.onnx_graph.rewrites.match import made_by, name_of, read_once, scalar
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Mul", "Add", recognition=True)
def norm_takes_in_affine(node: ir.Node, builder: FloatBuilder) -> bool:
    """norm(x) * gamma and norm(x) + beta become inputs of the norm, where it has ones or none.

    Only constants that vary only over the normalized axes; RMSNormalization has no bias.
    """
    for position in (0, 1):
        norm = made_by(node.inputs[position], "LayerNormalization", "RMSNormalization")
        array = array_of(node.inputs[1 - position])
        if norm is None or array is None or not read_once(norm.outputs[0]):
            continue
        shape = shape_of(norm.inputs[0])
        weight = fitted(array, shape_of(norm.inputs[1]))
        if weight is None or shape_of(node.outputs[0]) != shape:
            continue
        inputs = list(norm.inputs)
        if node.op_type == "Mul":
            if scalar(inputs[1]) != 1.0 or len(inputs) > 2:
                continue
            inputs[1] = builder.const(weight, name_of(node.inputs[1 - position]))
        else:
            if norm.op_type == "RMSNormalization" or len(inputs) > 2:
                continue
            inputs.append(builder.const(weight, name_of(node.inputs[1 - position])))
        attrs = {name: attr.value for name, attr in norm.attributes.items()}
        builder.replace(node, [builder.op(norm.op_type, inputs, attrs, name=str(norm.name))])
        return True
    return False
