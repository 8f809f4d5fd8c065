"""Layer and RMS normalization in ops that the library computes correctly.

Ba, Kiros and Hinton 2016, eq. 4; Zhang and Sennrich 2019, eq. 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.decompose.standardize import inverse_deviation, standardized
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("LayerNormalization")
def layer_norm(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """x - mean, then as RMS norm, then beta; also the mean and 1/std where they are used."""
    source = node.inputs[0]
    assert source is not None
    axes = _axes(node)
    mean = builder.op("ReduceMean", [source, axes], {"keepdims": 1})
    middle = builder.op("Sub", [source, mean])
    factor = inverse_deviation(builder, middle, axes, _epsilon(node))
    scaled = _with_gamma(node, builder.op("Mul", [middle, factor]), builder)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        scaled = builder.op("Add", [scaled, node.inputs[2]])
    return [scaled, mean, factor][: len(node.outputs)]


@DECOMPOSITIONS.rule("RMSNormalization")
def rms_norm(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """x * Reciprocal(Sqrt(mean of squares + epsilon)) * gamma."""
    source = node.inputs[0]
    assert source is not None
    scaled = standardized(builder, source, _axes(node), _epsilon(node))
    return [_with_gamma(node, scaled, builder)]


def _axes(node: ir.Node) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    rank = len(shape_of(node.inputs[0]))
    axis = node.attributes.get("axis")
    first = -1 if axis is None else int(axis.as_int())
    return np.arange(first % rank, rank, dtype=np.int64)


def _epsilon(node: ir.Node) -> float:
    epsilon = node.attributes.get("epsilon")
    return 1e-5 if epsilon is None else epsilon.as_float()


def _with_gamma(node: ir.Node, value: ir.Value, builder: FloatBuilder) -> ir.Value:
    gamma = array_of(node.inputs[1])
    if gamma is not None and bool((gamma == 1.0).all()):
        return value
    return builder.op("Mul", [value, node.inputs[1]])
