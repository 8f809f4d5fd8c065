"""Attention that ONNX Runtime's optimizer fuses in its own domain, as products and a softmax.

Formulas: ONNX Runtime, docs/ContribOperators.md (Attention, MultiHeadAttention).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.node_edit import integer
from hexconv.onnx_graph.rules import MODERNIZATIONS

MASK = -10000.0
"""Added to the scores of later positions (`mask_filter_value`'s default)."""
BIAS = 5
"""The input of both ops that is added to the scores."""
UNREAD = {
    "Attention": {3: "mask_index", 4: "past", 6: "past_sequence_length"},
    "MultiHeadAttention": {4: "key_padding_mask", 6: "past_key", 7: "past_value"},
}
"""Inputs that are not supported, by their position."""


@MODERNIZATIONS.rule("com.microsoft::Attention")
def attention(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Attention over the projections of one input [B, S, I] by weights [I, 3 N H]."""
    _check(node)
    source, weights = node.inputs[:2]
    assert weights is not None
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    total = builder.op("MatMul", [source, weights])
    if bias is not None:
        total = builder.op("Add", [total, bias])
    given = node.attributes.get("qkv_hidden_sizes")
    width = shape_of(weights)[1]
    sizes = list(given.as_ints()) if given is not None else [width // 3] * 3
    if len(sizes) != 3 or sum(sizes) != width:
        raise _unsupported(node, f"qkv_hidden_sizes {sizes} of weights {width} wide")
    ends = np.cumsum([0, *sizes])
    parts = [_columns(total, int(a), int(b), builder) for a, b in itertools.pairwise(ends)]
    return [_attended(node, parts, builder)]


@MODERNIZATIONS.rule("com.microsoft::MultiHeadAttention")
def multi_head(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Attention over query, key and value [B, S, N H] that are projected already."""
    _check(node)
    parts = [value for value in node.inputs[:3] if value is not None]
    if len(parts) != 3 or any(len(shape_of(value)) != 3 for value in parts):
        raise _unsupported(node, "packed or 4-D query, key and value")
    bias = node.inputs[3] if len(node.inputs) > 3 else None
    if bias is not None:
        ends = np.cumsum([0, *(shape_of(value)[2] for value in parts)])
        for place, value in enumerate(parts):
            own = _columns(bias, int(ends[place]), int(ends[place + 1]), builder)
            parts[place] = builder.op("Add", [value, own])
    return [_attended(node, parts, builder)]


def _check(node: ir.Node) -> None:
    """Raise for what the products below do not have."""
    for position, what in UNREAD[node.op_type].items():
        if position < len(node.inputs) and node.inputs[position] is not None:
            raise _unsupported(node, f"the input {what}")
    if integer(node, "do_rotary", 0):
        raise _unsupported(node, "rotary positions")
    if any(value.name and (value.uses() or value.is_graph_output()) for value in node.outputs[1:]):
        raise _unsupported(node, "the keys and values of the present as outputs")


def _unsupported(node: ir.Node, what: str) -> UnsupportedOpError:
    return UnsupportedOpError(
        f"{node.op_type} of ONNX Runtime's optimizer with {what}",
        node=str(node.name),
        op=f"com.microsoft::{node.op_type}",
        hint="convert the file from before ONNX Runtime's optimizer",
    )


def _attended(node: ir.Node, parts: Sequence[ir.Value], builder: FloatBuilder) -> ir.Value:
    """softmax(Q K' scale + bias + mask) V, the heads joined again."""
    heads = integer(node, "num_heads", 1)
    query, key, value = (_heads(part, heads, builder) for part in parts)
    given = node.attributes.get("scale")
    scale = 0.0 if given is None else given.as_float()
    factor = np.float32(scale or shape_of(query)[-1] ** -0.5)
    turned = builder.op("Transpose", [key], {"perm": [0, 1, 3, 2]})
    scores = builder.op("Mul", [builder.op("MatMul", [query, turned]), factor])
    if len(node.inputs) > BIAS and node.inputs[BIAS] is not None:
        scores = builder.op("Add", [scores, node.inputs[BIAS]])
    if integer(node, "unidirectional", 0):
        rows, columns = shape_of(scores)[2:]
        later = np.triu(np.full((rows, columns), MASK, np.float32), 1 + columns - rows)
        scores = builder.op("Add", [scores, later])
    weights = builder.op("Softmax", [scores], {"axis": -1})
    joined = builder.op(
        "Transpose", [builder.op("MatMul", [weights, value])], {"perm": [0, 2, 1, 3]}
    )
    batch, frames, count, size = shape_of(joined)
    shape = np.array([batch, frames, count * size], np.int64)
    return builder.op("Reshape", [joined, shape], name=str(node.name))


def _heads(value: ir.Value, heads: int, builder: FloatBuilder) -> ir.Value:
    """[B, S, N H] as [B, N, S, H]."""
    batch, frames, width = shape_of(value)
    shape = np.array([batch, frames, heads, width // heads], np.int64)
    return builder.op("Transpose", [builder.op("Reshape", [value, shape])], {"perm": [0, 2, 1, 3]})


def _columns(value: ir.Value, start: int, end: int, builder: FloatBuilder) -> ir.Value:
    """A part of the last axis."""
    numbers = [np.array([number], np.int64) for number in (start, end, -1)]
    return builder.op("Slice", [value, *numbers])
