"""Lp pools as sums of magnitudes, and over all of space as reductions.

Only p = 1 and p = 2: in 8 bits a third power is zero for a sixth of its range, and its root
magnifies that error back to full size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.decompose.average_pool import pool_windows, windowed_sum
from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("LpPool")
def sum_of_magnitudes(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """p = 1: |x| and a windowed sum. The library has p = 2."""
    source = node.inputs[0]
    if source is None or _order(node) != 1:
        return None
    axes, counts = pool_windows(node)
    magnitude = builder.op("Abs", [source])
    return [windowed_sum(builder, magnitude, axes, counts, 1.0)]


@DECOMPOSITIONS.rule("GlobalLpPool")
def norm_over_space(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """ReduceL1 or ReduceL2. ONNX Runtime has no GlobalLpPool of the current opset."""
    source, order = node.inputs[0], _order(node)
    assert source is not None
    if order not in (1, 2):
        raise UnsupportedOpError(
            f"a norm of order {order}",
            node=str(node.name),
            op=node.op_type,
            why="powers of 8-bit values vanish near zero",
            hint="use p = 1 or p = 2",
        )
    spatial = np.arange(2, len(shape_of(source)), dtype=np.int64)
    attrs = {"keepdims": 1}
    return [builder.op(f"ReduceL{order}", [source, spatial], attrs, name=str(node.name))]


def _order(node: ir.Node) -> int:
    attr = node.attributes.get("p")
    return 2 if attr is None else int(attr.as_int())
