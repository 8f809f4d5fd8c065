"""Root mean square normalization from its parts (Zhang and Sennrich 2019)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rewrites.match import inner
from hexconv.onnx_graph.rewrites.moments import mean_of, normalized, square_of, with_epsilon
from hexconv.onnx_graph.rules import SIMPLIFICATIONS


@SIMPLIFICATIONS.rule("Div", "Mul", recognition=True)
def rms_norm_from_parts(node: ir.Node, builder: FloatBuilder) -> bool:
    """x / sqrt(mean(x^2) + epsilon) over the last axes; `norm_affine` merges the scale."""
    parts = normalized(node)
    inside = with_epsilon(parts[1]) if parts is not None else None
    squares = mean_of(inside[0]) if inside is not None else None
    if parts is None or inside is None or squares is None:
        return False
    value = parts[0]
    if square_of(squares.value) is not value or not inner(node, [value]):
        return False
    ones = np.ones(shape_of(value)[squares.axis :], np.float32)
    attrs = {"axis": squares.axis, "epsilon": inside[1]}
    norm = builder.op("RMSNormalization", [value, ones], attrs, name=str(node.name))
    builder.replace(node, [norm])
    return True
