"""Layer and RMS normalization in the ops that run right.

Ba, Kiros and Hinton 2016, eq. 4; Zhang and Sennrich 2019, eq. 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.decompose.registry import decomposes
from hexconv.decompose.standardise import centred, standardised
from hexconv.onnx_graph.build import Builder, array_of, shape_of


@decomposes("LayerNormalization")
def layer_norm(node: ir.Node, builder: Builder) -> Sequence[ir.Value] | None:
    """x - mean, then as RMS norm, then beta."""
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        return None
    source = node.inputs[0]
    assert source is not None
    scaled = _scaled(node, centred(builder, source, _axes(node)), builder)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        scaled = builder.op("Add", [scaled, node.inputs[2]])
    return [scaled, *node.outputs[1:]]


@decomposes("RMSNormalization")
def rms_norm(node: ir.Node, builder: Builder) -> Sequence[ir.Value]:
    """x * Reciprocal(Sqrt(mean of squares + epsilon)) * gamma."""
    source = node.inputs[0]
    assert source is not None
    return [_scaled(node, source, builder)]


def _axes(node: ir.Node) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    rank = len(shape_of(node.inputs[0]))
    axis = node.attributes.get("axis")
    first = -1 if axis is None else int(axis.as_int())
    return np.arange(first % rank, rank, dtype=np.int64)


def _scaled(node: ir.Node, value: ir.Value, builder: Builder) -> ir.Value:
    epsilon = node.attributes.get("epsilon")
    shift = 1e-5 if epsilon is None else epsilon.as_float()
    scaled = standardised(builder, value, _axes(node), shift)
    gamma = array_of(node.inputs[1])
    if gamma is not None and bool((gamma == 1.0).all()):
        return scaled
    return builder.op("Mul", [scaled, node.inputs[1]])
