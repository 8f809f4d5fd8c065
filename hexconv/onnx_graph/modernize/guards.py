"""Guards against NaN and infinity: values on the DSP are finite, samples with others an error."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import MODERNIZATIONS
from hexconv.onnx_graph.uses import leads_only_to

LOG = logging.getLogger("hexconv.optimize")
LOGIC = frozenset(("And", "Not", "Or", "Xor", "Identity"))
"""Ops between a guard and what it decides."""


@MODERNIZATIONS.rule("IsNaN", "IsInf")
def never(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """IsNaN and IsInf are false where nothing but the choice of a Where depends on them.

    A model that returns them, or computes with them, is about values that the DSP cannot have, and
    so is a softmax of a row that may be -infinity throughout.
    """
    data = node.inputs[0]
    if data is None or array_of(data) is not None:
        return None
    if not leads_only_to(node.outputs[0], _chooses, _combines) or _may_be_masked_throughout(data):
        return None
    LOG.info("'%s' (%s): false, values on the DSP are finite", node.name, node.op_type)
    return [builder.const(np.zeros(shape_of(data), bool), f"{node.name}_never")]


def _chooses(node: ir.Node, position: int) -> bool:
    return not node.domain and node.op_type == "Where" and position == 0


def _combines(node: ir.Node, position: int) -> bool:
    return not node.domain and node.op_type in LOGIC


def _may_be_masked_throughout(data: ir.Value) -> bool:
    """Whether an infinite constant could fill a whole row of something that a value depends on."""
    pending, seen = [data], {data}
    while pending:
        node = pending.pop().producer()
        if node is None:
            continue
        for value in node.inputs:
            array = array_of(value)
            if array is not None and array.dtype.kind == "f" and np.isinf(array).any():
                if not _leaves_some(node, np.isinf(array)):
                    return True
            elif value is not None and value not in seen:
                seen.add(value)
                pending.append(value)
    return False


def _leaves_some(node: ir.Node, infinite: Array) -> bool:
    """Whether each row of what a node masks has a place that is not infinite."""
    if node.op_type == "Where":
        condition = array_of(node.inputs[0])
        if condition is not None:
            chosen = condition if array_of(node.inputs[1]) is not None else ~condition
            infinite = infinite & chosen
    return infinite.ndim > 0 and infinite.shape[-1] > 1 and not infinite.all(axis=-1).any()


@MODERNIZATIONS.rule("Where")
def one_branch(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """Where a condition is the same everywhere, its branch in the shape of the result."""
    condition = array_of(node.inputs[0])
    if condition is None or not condition.size or condition.min() != condition.max():
        return None
    branch = node.inputs[1 if condition.all() else 2]
    assert branch is not None
    shape = np.broadcast_shapes(*(shape_of(v) for v in node.inputs if v is not None))
    if shape_of(branch) == shape:
        return [branch]
    return [builder.op("Expand", [branch, np.array(shape, np.int64)], name=str(node.name))]
