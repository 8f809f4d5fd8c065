"""Which outputs hold class scores: rows whose largest element is what the model decides."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from hexconv.onnx_graph.builder import shape_of
from hexconv.onnx_graph.selections import LAYOUT

SCORES = frozenset(("Softmax", "LogSoftmax", "Gemm", "MatMul"))
"""Ops whose last output axis is taken to be class scores, if it is the model's output."""
PASSED = LAYOUT | {"Log"}
"""Ops that such scores are moved by, where the last axis stays the last, and the logarithm of a
Softmax, which keeps the order of its values."""
NORMALIZED = {"Sub": ("Log", "ReduceLogSumExp"), "Div": ("ReduceSum",)}
"""The last op of a LogSoftmax or Softmax that is written out, and what makes its right operand."""


def class_outputs(graph: ir.Graph) -> frozenset[str]:
    """Names of the outputs whose last axis has class scores."""
    return frozenset(str(value.name) for value in graph.outputs if _has_scores(value))


def _has_scores(value: ir.Value) -> bool:
    shape = shape_of(value)
    if len(shape) < 2 or shape[-1] < 2:
        return False
    for source in _origins(value):
        node = source.producer()
        if node is None:
            return False
        if node.op_type in PASSED:
            continue
        if node.op_type == "Add":
            return any(_producer(item) == "MatMul" for item in node.inputs)
        if node.op_type in ("Softmax", "LogSoftmax"):
            axis = node.attributes.get("axis")
            return axis is None or axis.as_int() in (-1, len(shape_of(source)) - 1)
        return node.op_type in SCORES or _normalizes(node)
    return False


def _origins(value: ir.Value) -> Iterator[ir.Value]:
    """A value, and what it is moved from, as long as its last axis stays the last."""
    yield value
    while (node := value.producer()) is not None and node.op_type in PASSED:
        before = node.inputs[0]
        if before is None or not _keeps_last_axis(node, before):
            return
        value = before
        yield value


def _keeps_last_axis(node: ir.Node, before: ir.Value) -> bool:
    old, new = shape_of(before), shape_of(node.outputs[0])
    if not old or not new or old[-1] != new[-1]:
        return False
    perm = node.attributes.get("perm")
    return node.op_type != "Transpose" or (perm is not None and perm.as_ints()[-1] == len(old) - 1)


def _normalizes(node: ir.Node) -> bool:
    """Whether a node is the last one of a Softmax or LogSoftmax over the last axis."""
    by = node.inputs[1] if node.op_type in NORMALIZED else None
    while by is not None and (maker := by.producer()) is not None:
        if maker.op_type in NORMALIZED[node.op_type]:
            return shape_of(by)[-1:] != shape_of(node.outputs[0])[-1:]
        by = maker.inputs[0] if maker.op_type in LAYOUT | {"Expand"} else None
    return False


def _producer(value: ir.Value | None) -> str:
    node = None if value is None else value.producer()
    return "" if node is None else node.op_type
