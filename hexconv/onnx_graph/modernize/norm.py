"""Changes of the normalizations: modes of BatchNormalization, scales of GroupNormalization."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.node_edit import integer
from hexconv.onnx_graph.rules import MODERNIZATIONS


@MODERNIZATIONS.rule("BatchNormalization")
def batch_norm_at_inference(node: ir.Node, builder: FloatBuilder) -> None:
    """`spatial` (opset 7) and `training_mode` (14): only their defaults are supported."""
    if integer(node, "spatial", 1) != 1:
        raise UnsupportedOpError(
            "BatchNormalization with spatial=0 has statistics for each position",
            node=str(node.name),
            op=node.op_type,
            hint="export the model with opset 9 or newer",
        )
    node.attributes.pop("spatial", None)
    extra = [value for value in node.outputs[1:] if value.uses() or value.is_graph_output()]
    if integer(node, "training_mode", 0) or extra:
        raise UnsupportedOpError(
            "BatchNormalization in training mode computes its statistics anew",
            node=str(node.name),
            op=node.op_type,
            hint="export the model after model.eval()",
        )
    node.attributes.pop("momentum", None)
    if len(node.outputs) > 1:
        node.resize_outputs(1)


@MODERNIZATIONS.rule("GroupNormalization", below=21)
def group_norm_scales(node: ir.Node, builder: FloatBuilder) -> None:
    """Scale and bias are one per channel since opset 21, one per group before."""
    groups = integer(node, "num_groups", 1)
    channels = shape_of(node.inputs[0])[1]
    if channels % groups or any(shape_of(value) != (groups,) for value in node.inputs[1:]):
        return
    index = np.repeat(np.arange(groups, dtype=np.int64), channels // groups)
    for position in (1, 2):
        scale = node.inputs[position]
        node.replace_input_with(position, builder.op("Gather", [scale, index], {"axis": 0}))
