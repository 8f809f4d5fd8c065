"""Split: explicit sizes of the parts, in whatever form the model has them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.errors import ModelError
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.node_edit import attr_to_input, integer, set_input
from hexconv.onnx_graph.rules import MODERNIZATIONS


@MODERNIZATIONS.rule("Split")
def explicit_sizes(node: ir.Node, builder: FloatBuilder) -> None:
    """`split` is input 1 since opset 13; equal parts and `num_outputs` (18) are made explicit.

    Of `num_outputs` parts the last is smaller where the size does not divide.
    """
    attr_to_input(node, builder, "split", 1)
    counted = node.attributes.pop("num_outputs", None)
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        return
    shape = shape_of(node.inputs[0])
    axis = integer(node, "axis", 0)
    parts = len(node.outputs)
    if not -len(shape) <= axis < len(shape):
        raise ModelError(
            f"axis {axis} is outside a tensor of rank {len(shape)}",
            where=f"node '{node.name}' (Split)",
        )
    size = shape[axis]
    if size % parts and counted is None:
        raise ModelError(
            f"{size} elements do not split into {parts} equal parts",
            where=f"node '{node.name}' (Split)",
        )
    part = -(-size // parts)
    sizes = [part] * (parts - 1) + [size - part * (parts - 1)]
    set_input(node, 1, builder.const(np.array(sizes, np.int64), f"{node.name}_split"))
