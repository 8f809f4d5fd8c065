"""Means of means, and sums of sums."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rewrites.match import made_by, read_once, reduced_axes
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("ReduceMean", "ReduceSum")
def one_reduction(node: ir.Node, builder: FloatBuilder) -> bool:
    """x.mean(3).mean(2) is one mean over both axes, rounded once; axes side by side only."""
    value = node.inputs[0]
    before = made_by(value, node.op_type)
    if before is None or value is None or not read_once(value):
        return False
    source, shape = before.inputs[0], shape_of(node.outputs[0])
    first, then = reduced_axes(before), reduced_axes(node)
    if source is None or not first or not then:
        return False
    keeps = before.attributes.get_int("keepdims", 1)
    left = [axis for axis in range(len(shape_of(source))) if keeps or axis not in first]
    axes = sorted({*first, *(left[axis] for axis in then)})
    if any(shape_of(source)[axis] > 1 for axis in range(axes[0], axes[-1]) if axis not in axes):
        return False
    made = builder.op(node.op_type, [source, np.array(axes, np.int64)], {"keepdims": 1})
    sizes = np.array(shape, np.int64)
    builder.replace(node, [builder.op("Reshape", [made, sizes], name=str(node.name))])
    return True
