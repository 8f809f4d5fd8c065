"""Compress by a constant mask: the entries it keeps are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.rules import MODERNIZATIONS


@MODERNIZATIONS.rule("Compress")
def gather_where_kept(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """A Gather along the axis, or of the flattened tensor where there is none."""
    mask, value = array_of(node.inputs[1]), node.inputs[0]
    if mask is None or value is None:
        return None
    kept = np.flatnonzero(mask)
    axis = node.attributes.get("axis")
    if axis is None:
        value = builder.op("Reshape", [value, np.array([-1], np.int64)])
    attrs = {"axis": 0 if axis is None else axis.as_int()}
    return [builder.op("Gather", [value, kept], attrs, name=str(node.name))]
