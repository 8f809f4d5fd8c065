"""LayerNormalization in the ops that run right (Ba, Kiros and Hinton 2016, eq. 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.decompose.registry import decomposes
from hexconv.onnx_graph.build import Builder, shape_of


@decomposes("LayerNormalization")
def mean_variance(node: ir.Node, builder: Builder) -> Sequence[ir.Value] | None:
    """(x - mean) * Reciprocal(Sqrt(mean of squares + epsilon)) * gamma + beta."""
    if len(node.outputs) > 1 and any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return None
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    source = node.inputs[0]
    rank = len(shape_of(source))
    axis = int(attrs.get("axis", -1)) % rank
    axes = np.arange(axis, rank, dtype=np.int64)
    mean = builder.op("ReduceMean", [source, axes], {"keepdims": 1})
    centred = builder.op("Sub", [source, mean])
    square = builder.op("Mul", [centred, centred])
    variance = builder.op("ReduceMean", [square, axes], {"keepdims": 1})
    epsilon = np.float32(attrs.get("epsilon", 1e-5))
    deviation = builder.op("Sqrt", [builder.op("Add", [variance, epsilon])])
    scaled = builder.op("Mul", [centred, builder.op("Reciprocal", [deviation])])
    scaled = builder.op("Mul", [scaled, node.inputs[1]])
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        scaled = builder.op("Add", [scaled, node.inputs[2]])
    return [scaled, *node.outputs[1:]]
