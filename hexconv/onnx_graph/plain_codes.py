"""Other forms in which exporters bound a quantizer's integers: as ops on the integers themselves.

A selection by a comparison of the integers with a bound is a Max or a Min. Integers that are cast
to another type, bounded or moved there, and cast back are bounded or moved as they are.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.codes import ends_of
from hexconv.onnx_graph.quantized_outputs import NARROW
from hexconv.onnx_graph.selections import SELECTIONS
from hexconv.onnx_graph.uses import leads_only_to
from hexconv.quantize import Bounds

SMALLER = {"Less": True, "LessOrEqual": True, "Greater": False, "GreaterOrEqual": False}
"""Comparisons, and whether the first operand is the smaller one where they hold."""
BOUNDS = {"Clip": (1, 2), "Max": (0, 1), "Min": (0, 1), "Relu": ()}
"""Ops with bounds, and where these are."""


def plain_codes(builder: FloatBuilder) -> None:
    """Bring what bounds integers into ops on them.

    Args:
        builder: of a graph in canonical form, before `quantized.take_ranges`.
    """
    for node in list(builder.graph):
        if node.op_type == "Where" and not node.domain:
            _as_bound(node, builder)
    for node in list(builder.graph):
        if node.op_type == "Cast" and node.graph is not None:
            _without_casts(node, builder)


def _as_bound(node: ir.Node, builder: FloatBuilder) -> None:
    """Replace `Where(a < b, a, b)` of integers by their Min, its other forms likewise."""
    condition, chosen, other = node.inputs
    compared = None if condition is None else condition.producer()
    if compared is None or compared.op_type not in SMALLER or not _is_integer(chosen):
        return
    left, right = compared.inputs
    straight = _same(left, chosen) and _same(right, other)
    if not straight and not (_same(left, other) and _same(right, chosen)):
        return
    op = "Min" if straight == SMALLER[compared.op_type] else "Max"
    builder.replace(node, [builder.at(node).op(op, [chosen, other])])


def _without_casts(node: ir.Node, builder: FloatBuilder) -> None:
    """Remove a Cast of integers and those that undo it, where ops between keep the integers."""
    source = node.inputs[0]
    dtype = None if source is None else source.dtype
    if source is None or dtype is None or dtype not in NARROW:
        return
    ends = ends_of(np.dtype(dtype.numpy()))
    between: dict[ir.Node, None] = {}
    back: dict[ir.Node, None] = {}

    def undoes(user: ir.Node, _: int) -> bool:
        undone = user.op_type == "Cast" and user.outputs[0].dtype == dtype
        if undone:
            back[user] = None
        return undone

    def keeps(user: ir.Node, position: int) -> bool:
        kept = _keeps(user, position, ends)
        if kept:
            between[user] = None
        return kept

    if not leads_only_to(node.outputs[0], undoes, keeps) or not back:
        return
    builder.replace(node, [source])
    for user in between:
        _on_codes(user, dtype, ends, builder)
    for user in back:
        builder.replace(user, [user.inputs[0]])


def _keeps(node: ir.Node, position: int, ends: Bounds) -> bool:
    """Whether what a node makes of integers, read at a position, is integers of the same type."""
    if node.domain:
        return False
    if node.op_type in SELECTIONS - {"MaxPool"}:
        return position == 0
    if node.op_type not in BOUNDS:
        return False
    others = [at for at, value in enumerate(node.inputs) if value is not None and at != position]
    return all(_is_code(node, at, ends) for at in others)


def _is_code(node: ir.Node, position: int, ends: Bounds) -> bool:
    """Whether a bound is known, whole, and moves no integer out of its type."""
    bound = array_of(node.inputs[position])
    if bound is None or not (bound.dtype.kind in "iu" or (bound == np.round(bound)).all()):
        return False
    from_below = node.op_type == "Max" or (node.op_type == "Clip" and position == 1)
    return bool(bound.max() <= ends[1] if from_below else bound.min() >= ends[0])


def _on_codes(node: ir.Node, dtype: ir.DataType, ends: Bounds, builder: FloatBuilder) -> None:
    """Let a node compute with integers of a type, its bounds too."""
    builder.at(node)
    for position in BOUNDS.get(node.op_type, ()):
        bound = array_of(node.inputs[position]) if position < len(node.inputs) else None
        if bound is not None:
            kept = np.clip(bound.astype(np.float64), *ends).astype(dtype.numpy())
            node.replace_input_with(position, builder.const(kept))
    for value in node.outputs:
        value.dtype = dtype


def _same(value: ir.Value | None, other: ir.Value | None) -> bool:
    """Whether two values are the same, or constants with the same numbers."""
    if value is other:
        return True
    left, right = array_of(value), array_of(other)
    return left is not None and right is not None and np.array_equal(left, right)


def _is_integer(value: ir.Value | None) -> bool:
    return value is not None and value.dtype is not None and value.dtype.is_integer()
