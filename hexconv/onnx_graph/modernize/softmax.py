"""Softmax, LogSoftmax and Hardmax before opset 13 see a matrix: axes from `axis` on are one."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from hexconv.errors import ModelError
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.node_edit import integer
from hexconv.onnx_graph.rules import MODERNIZATIONS


@MODERNIZATIONS.rule("Softmax", "LogSoftmax", "Hardmax", below=13)
def flatten_to_matrix(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """Reshape to [rows, rest], apply along the last axis, reshape back; default axis 1.

    Over the last axis alone, or axes of size 1 around it, old and new agree.
    """
    shape = shape_of(node.inputs[0])
    rank = len(shape)
    written = integer(node, "axis", 1)
    axis = written + rank if written < 0 else written
    if not 0 <= axis <= rank:
        raise ModelError(
            f"axis {written} is outside a tensor of rank {rank}",
            where=f"node '{node.name}' ({node.op_type})",
        )
    long = [k for k in range(axis, rank) if shape[k] > 1]
    if len(long) <= 1 and rank > 0:
        node.attributes["axis"] = ir.AttrInt64("axis", long[0] if long else rank - 1)
        return None
    rows = prod(shape[:axis])
    matrix = builder.op("Reshape", [node.inputs[0], np.array([rows, -1], np.int64)])
    result = builder.op(node.op_type, [matrix], {"axis": -1}, name=str(node.name))
    return [builder.op("Reshape", [result, np.array(shape, np.int64)])]


@MODERNIZATIONS.rule("Softmax", "LogSoftmax", "Hardmax")
def explicit_axis(node: ir.Node, builder: FloatBuilder) -> None:
    """The default became -1; it is made explicit for the lowerings."""
    node.attributes.setdefault("axis", ir.AttrInt64("axis", -1))
