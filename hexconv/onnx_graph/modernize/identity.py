"""Nodes that return their input: Identity, Dropout at inference, reductions of one input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.arrays import FLOAT32_MAX
from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import MODERNIZATIONS


@MODERNIZATIONS.rule("Identity")
def identity(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Readers of y = Identity(x) read x."""
    value = node.inputs[0]
    assert value is not None
    return [value]


@MODERNIZATIONS.rule("Dropout")
def dropout(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value | None]:
    """Dropout does nothing at inference; its mask, and training mode, are unsupported."""
    training = array_of(node.inputs[2]) if len(node.inputs) > 2 else None
    dynamic = len(node.inputs) > 2 and node.inputs[2] is not None and training is None
    if dynamic or (training is not None and training.any()):
        raise UnsupportedOpError(
            "Dropout in training mode is random",
            node=str(node.name),
            op="Dropout",
            hint="export the model after model.eval()",
        )
    mask = node.outputs[1] if len(node.outputs) > 1 else None
    if mask is not None and (mask.uses() or mask.is_graph_output()):
        raise UnsupportedOpError("the mask of Dropout is read", node=str(node.name), op="Dropout")
    value = node.inputs[0]
    assert value is not None
    return [value]


@MODERNIZATIONS.rule("Concat")
def without_empty_parts(node: ir.Node, builder: FloatBuilder) -> None:
    """A part without elements adds nothing to a concatenation that has others."""
    parts = [value for value in node.inputs if value is not None]
    kept = [value for value in parts if 0 not in shape_of(value)]
    if kept and len(kept) < len(parts):
        for position, value in enumerate(kept):
            node.replace_input_with(position, value)
        node.resize_inputs(len(kept))


@MODERNIZATIONS.rule("Sum", "Mean", "Max", "Min", "Concat")
def of_one(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """The sum (mean, largest, concatenation) of one tensor is that tensor."""
    values = [value for value in node.inputs if value is not None]
    return values if len(values) == 1 else None


@MODERNIZATIONS.rule("Max", "Min")
def without_infinite_bound(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """The larger of x and -inf, or float32's lowest number, is x; so is the smaller with +inf."""
    values = [value for value in node.inputs if value is not None]
    sign = -1.0 if node.op_type == "Max" else 1.0
    rest = [value for value in values if not _beyond(array_of(value), sign)]
    shapes = [[shape_of(value) for value in group] for group in (values, rest)]
    if len(rest) in (0, len(values)) or len({np.broadcast_shapes(*group) for group in shapes}) > 1:
        return None
    return rest if len(rest) == 1 else [builder.op(node.op_type, rest)]


def _beyond(array: np.ndarray[tuple[int, ...], np.dtype[np.floating]] | None, sign: float) -> bool:
    """Whether a constant is nothing but infinite, or float32's last number, of this sign."""
    if array is None or array.dtype.kind != "f" or not array.size:
        return False
    return bool((sign * array >= FLOAT32_MAX).all())
