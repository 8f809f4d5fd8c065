"""Local response normalization (Krizhevsky et al. 2012, 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.decompose.along import product_along
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("LRN")
def banded_product(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """x * (bias + alpha / size * sum of squares of neighbors) ^ -beta.

    The sum is a product with a banded matrix over the channels, a 1x1 convolution on images.
    QuantizedLRN_8's output range depends on the data (docs/nnlib/quirks.md#output-ranges).
    """
    source = node.inputs[0]
    assert source is not None
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    size, alpha = int(attrs["size"]), float(attrs.get("alpha", 1e-4))
    beta, bias = float(attrs.get("beta", 0.75)), float(attrs.get("bias", 1.0))
    shape = shape_of(source)
    offsets = np.arange(shape[1])[:, None] - np.arange(shape[1])
    band = (offsets >= -((size - 1) // 2)) & (offsets <= size // 2)
    weights = np.where(band, np.float32(alpha / size), np.float32(0.0))
    squares = builder.op("Mul", [source, source])
    if len(shape) > 2:
        # Row j of the kernel reads the channels in the window of channel j.
        kernel = weights.T.reshape(*weights.shape, *([1] * (len(shape) - 2)))
        offset = np.full(shape[1], bias, np.float32)
        sums = builder.op("Conv", [squares, np.ascontiguousarray(kernel), offset])
    else:
        product = product_along(builder, squares, weights, 1, "")
        sums = builder.op("Add", [product, np.float32(bias)])
    factor = builder.op("Pow", [sums, np.float32(-beta)])
    return [builder.op("Mul", [source, factor], name=str(node.name))]
