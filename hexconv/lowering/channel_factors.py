"""What a node multiplies each channel with, and adds to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hexconv.onnx_graph import NodeView
from hexconv.onnx_graph.builder import array_of

Floats = npt.NDArray[np.float64]


def channel_factors(node: NodeView) -> tuple[Floats, Floats] | None:
    """(channels,) factors and addends of an Affine or a BatchNormalization, if they are constant.

    An Affine (optimize/fusions/affine) has them as inputs; a BatchNormalization has
    scale * (x - mean) / sqrt(variance + epsilon) + bias.
    """
    epsilon = float(node.attr("epsilon", 1e-5))
    arrays = [array_of(value) for value in node.node.inputs[1:]]
    values = [np.asarray(item, np.float64).reshape(-1) for item in arrays if item is not None]
    node.done(*range(len(node.inputs)))
    if len(values) != len(arrays):
        return None
    if node.op == "Affine":
        return values[0], values[1]
    scale, bias, mean, variance = values
    factor = scale / np.sqrt(variance + epsilon)
    return factor, bias - mean * factor
