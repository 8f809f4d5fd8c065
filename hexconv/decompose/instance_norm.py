"""Instance and group normalization, and MeanVarianceNormalization.

Ulyanov et al. 2016; Wu and He 2018, eq. 1 to 7. The library's one op for it,
QuantizedInstanceNormBG_8, has a data-dependent output range (docs/nnlib/quirks.md#instance-norm).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.decompose.standardize import centered, standardized
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS

# Added to the standard deviation in ONNX's definition of MeanVarianceNormalization; added to the
# variance it changes nothing at 8 bits of precision.
MVN_EPSILON = 1e-9


@DECOMPOSITIONS.rule("InstanceNormalization")
def instance_norm(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Normalize over space, for each channel of each batch."""
    source = node.inputs[0]
    assert source is not None
    axes = np.arange(2, len(shape_of(source)), dtype=np.int64)
    result = standardized(builder, centered(builder, source, axes), axes, _epsilon(node))
    return [_affine(builder, node, result)]


@DECOMPOSITIONS.rule("GroupNormalization")
def group_norm(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """Normalize over space and the channels of a group."""
    source = node.inputs[0]
    assert source is not None
    shape = shape_of(source)
    groups = node.attributes["num_groups"].as_int()
    if groups < 1 or shape[1] % groups:
        return None
    apart = np.array([shape[0], groups, shape[1] // groups, *shape[2:]], np.int64)
    axes = np.arange(2, len(shape) + 1, dtype=np.int64)
    grouped = builder.op("Reshape", [source, apart])
    result = standardized(builder, centered(builder, grouped, axes), axes, _epsilon(node))
    joined = builder.op("Reshape", [result, np.array(shape, np.int64)])
    return [_affine(builder, node, joined)]


@DECOMPOSITIONS.rule("MeanVarianceNormalization")
def mean_variance(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Normalize over the given axes; by default over those of an image except its channels."""
    source = node.inputs[0]
    assert source is not None
    attr = node.attributes.get("axes")
    axes = np.array([0, 2, 3] if attr is None else attr.as_ints(), np.int64)
    middle = centered(builder, source, axes)
    return [standardized(builder, middle, axes, MVN_EPSILON, str(node.name))]


def _epsilon(node: ir.Node) -> float:
    attr = node.attributes.get("epsilon")
    return 1e-5 if attr is None else attr.as_float()


def _affine(builder: FloatBuilder, node: ir.Node, value: ir.Value) -> ir.Value:
    """value * scale + bias for each channel; constants of one and zero add no node."""
    rank = len(shape_of(value))
    for op, operand, neutral in (("Mul", node.inputs[1], 1.0), ("Add", node.inputs[2], 0.0)):
        array = array_of(operand)
        if array is not None and bool((array == neutral).all()):
            continue
        channels = np.array([-1, *([1] * (rank - 2))], np.int64)
        value = builder.op(op, [value, builder.op("Reshape", [operand, channels])])
    return value
