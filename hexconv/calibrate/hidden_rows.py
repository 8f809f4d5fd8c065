"""Rows of scores that an added mask hides throughout: a padded query of a mask of both axes.

Softmax of such a row is that of the scores alone: the same number is added to all of them. Bounded
below the scores like any mask, it would leave nothing of them. It is taken off the row instead.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.calibrate.mask_gaps import FAR
from hexconv.onnx_graph.builder import FloatBuilder, array_of, constant, shape_of
from hexconv.onnx_graph.rewrites.match import made_by
from hexconv.quantize import Bounds

PER_NUMBER = ("Add", "Sub", "Mul", "Div", "Neg")
"""Ops between the mask and its softmax that leave the rows what they are."""
ROUNDED = 0.25
"""Of the width of the scores, what float32 may round them by beside the mask: beyond, a row that
is hidden throughout is even in the float model too."""


def compute_row_ends(builder: FloatBuilder, join: ir.Node, value: ir.Value) -> None:
    """Compute the ends of each row of what may be a mask, where it is added in front of softmax."""
    if join.op_type in ("Add", "Sub") and shape_of(value) and decides_rows(join.outputs[0]):
        for op in ("ReduceMax", "ReduceMin"):
            axes = np.array([-1], np.int64)
            builder.op(op, [value, axes], {"keepdims": 1}, name=_name(value, op))


def decides_rows(scores: ir.Value) -> bool:
    """Whether nothing but softmax over the last axis reads the scores, or sums and products."""
    left = [scores]
    while left:
        value = left.pop()
        rank = len(shape_of(value))
        if value.is_graph_output() or not value.uses():
            return False
        for node, _ in value.uses():
            if node.op_type == "Softmax" and node.attributes.get_int("axis", -1) in (-1, rank - 1):
                continue
            if node.domain or node.op_type not in PER_NUMBER:
                return False
            if shape_of(node.outputs[0]) != shape_of(value):
                return False
            left.append(node.outputs[0])
    return True


def hides_rows(value: ir.Value, ranges: Mapping[str, Bounds], scores: Bounds, sign: float) -> bool:
    """Whether a mask hides all of a row in a sample, but leaves float32 the scores there.

    Args:
        value: the mask.
        ranges: of it and of the ends of its rows.
        scores: bounds of what it is added to.
        sign: -1.0 if masked numbers of `value` are far above 0, 1.0 if they are far below.
    """
    array = array_of(value)
    if array is None:
        names = str(value.name), _name(value, _end(sign))
        whole, rows = (ranges.get(name) for name in names)
    elif array.ndim and array.size:
        parts = array, _ends(array, sign)
        whole, rows = ((float(part.min()), float(part.max())) for part in parts)
    else:
        return False
    if whole is None or rows is None:
        return False
    hidden = (rows[0] if sign > 0.0 else -rows[1]) <= -FAR
    rounded = float(np.spacing(np.float32(max(map(abs, whole)))))
    return hidden and rounded <= ROUNDED * (scores[1] - scores[0])


def less_row_ends(
    graph: ir.Graph, join: ir.Node, value: ir.Value, ranges: dict[str, Bounds], sign: float
) -> ir.Value:
    """The mask less the number of each row that hides it throughout, one for all its joins.

    Args:
        graph: changed in place.
        join: the new nodes go before it.
        value: the mask.
        ranges: those of the new values are added.
        sign: as in `hides_rows`.
    """
    op, array = _end(sign), array_of(value)
    if array is not None:
        name = f"{value.name}/less/{op}"
        if name not in graph.initializers:
            graph.register_initializer(constant(name, array - _ends(array, sign)))
        return graph.initializers[name]
    for node, _ in value.uses():
        end = made_by(node.inputs[1], op) if node.op_type == "Sub" else None
        if end is not None and end.inputs[0] is value:
            return node.outputs[0]
    builder = FloatBuilder(graph).at(join)
    ends_of_rows = builder.op(op, [value, np.array([-1], np.int64)], {"keepdims": 1})
    less = builder.op("Sub", [value, ends_of_rows])
    low, high = ranges[str(value.name)]
    for made in (ends_of_rows, less):
        ranges[str(made.name)] = min(low, 0.0), max(high, 0.0)
    return less


def _end(sign: float) -> str:
    """The op that finds the number of a row that is nearest to none hidden."""
    return "ReduceMax" if sign > 0.0 else "ReduceMin"


def _ends(array: Array, sign: float) -> Array:
    """The same of each row of a constant, which keep their axis."""
    return np.asarray((np.max if sign > 0.0 else np.min)(array, axis=-1, keepdims=True))


def _name(value: ir.Value, op: str) -> str:
    return f"{value.name}/rows/{op}"
