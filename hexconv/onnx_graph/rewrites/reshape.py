"""Every op that only changes a shape becomes one Reshape with explicit sizes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rewrites.match import made_by
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Reshape", "Squeeze", "Unsqueeze", "Flatten")
def one_reshape(node: ir.Node, builder: FloatBuilder) -> bool:
    """Squeeze, Unsqueeze and Flatten become Reshape; of two in a row the second is enough.

    A Reshape to the value's own shape is removed. Sizes of 0 and -1 are made explicit.
    """
    shape = shape_of(node.outputs[0])
    value = node.inputs[0]
    before = made_by(value, "Reshape")
    while before is not None:
        value = before.inputs[0]
        before = made_by(value, "Reshape")
    assert value is not None
    plain = node.op_type == "Reshape" and value is node.inputs[0]
    if shape_of(value) == shape:
        if node.outputs[0].is_graph_output() and value.is_graph_input():
            return False
        builder.replace(node, [value])
        return True
    written = array_of(node.inputs[1]) if plain else None
    if written is not None and np.array_equal(written, shape):
        return False
    sizes = builder.const(np.array(shape, np.int64), f"{node.name}_shape")
    builder.replace(node, [builder.op("Reshape", [value, sizes], name=str(node.name))])
    return True
