"""Max and Min with numbers beyond every float: what they are compared with is the result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.arrays import FLOAT32_MAX
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import MODERNIZATIONS

BEYOND = 1e29
"""A finite number that no activation reaches, below the largest that a constant may have."""


@MODERNIZATIONS.rule("Max", "Min")
def without_unreachable(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """max(x, -inf) is x, and min(x, inf); so are those with float32's lowest and largest number."""
    values = [value for value in node.inputs if value is not None]
    kept = [value for value in values if not _unreachable(value, node.op_type)]
    if not kept or len(kept) == len(values):
        _make_finite(node, builder)
        return None
    shape = np.broadcast_shapes(*(shape_of(value) for value in values))
    first = kept[0]
    if len(kept) > 1:
        first = builder.op(node.op_type, kept, name=str(node.name))
    if shape_of(first) != shape:
        first = builder.op("Expand", [first, np.array(shape, np.int64)], name=str(node.name))
    return [first]


def _unreachable(value: ir.Value, op: str) -> bool:
    array = array_of(value)
    if array is None or array.dtype != np.float32 or not array.size:
        return False
    return bool((array <= -FLOAT32_MAX).all() if op == "Max" else (array >= FLOAT32_MAX).all())


def _make_finite(node: ir.Node, builder: FloatBuilder) -> None:
    """Infinities among finite bounds become numbers beyond all data: the comparison is the same."""
    for position, value in enumerate(node.inputs):
        array = array_of(value)
        if array is None or array.dtype != np.float32 or not array.size:
            continue
        if not (array < -BEYOND if node.op_type == "Max" else array > BEYOND).any():
            continue
        finite = np.clip(array, -BEYOND, BEYOND).astype(np.float32)
        node.replace_input_with(position, builder.const(finite, f"{node.name}_finite"))
