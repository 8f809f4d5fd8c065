"""Batch normalization after a convolution or a matrix product (Ioffe and Szegedy 2015)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rewrites.match import made_by, name_of, read_once
from hexconv.onnx_graph.rules import SIMPLIFICATIONS

Array = npt.NDArray[np.float64]


class Normalization(NamedTuple):
    """What a BatchNormalization does to a channel: (x - mean) factor + beta, each (C,) float64."""

    factor: Array
    mean: Array
    beta: Array

    def of(self, bias: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """(C,) What it makes of a bias."""
        shift: Array = (bias.astype(np.float64) - self.mean) * self.factor + self.beta
        return shift.astype(np.float32)


def normalization(node: ir.Node) -> Normalization | None:
    """The constants of a BatchNormalization; None where they are computed."""
    constants = [array_of(value) for value in node.inputs[1:]]
    if any(array is None for array in constants):
        return None
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in constants)
    epsilon = node.attributes.get("epsilon")
    added = epsilon.as_float() if epsilon is not None else 1e-5
    return Normalization(gamma / np.sqrt(variance + added), mean, beta)


@SIMPLIFICATIONS.rule("BatchNormalization")
def batch_norm_into_weights(node: ir.Node, builder: FloatBuilder) -> bool:
    """BatchNormalization(Conv(x, W, b)) is Conv(x, W s, (b - mean) s + beta), s = gamma/sigma.

    Also after ConvTranspose and Gemm (of one row of weights per channel, alpha and beta 1), where
    nothing else reads their output.
    """
    before = made_by(node.inputs[0], "Conv", "ConvTranspose", "Gemm")
    channels = normalization(node)
    if before is None or channels is None:
        return False
    weights = array_of(before.inputs[1])
    biased = len(before.inputs) > 2 and before.inputs[2] is not None
    bias = array_of(before.inputs[2]) if biased else np.zeros(1, np.float32)
    if weights is None or bias is None or not read_once(before.outputs[0]):
        return False
    scaled = scaled_weights(before, weights, channels.factor)
    if scaled is None or bias.ndim > 1:
        return False
    name = name_of(before.inputs[1])
    inputs = [
        before.inputs[0],
        builder.const(scaled, f"{name}_with_batch_norm"),
        builder.const(channels.of(bias), f"{name}_bias_with_batch_norm"),
    ]
    attrs = {key: attr.value for key, attr in before.attributes.items()}
    builder.replace(node, [builder.op(before.op_type, inputs, attrs, name=str(before.name))])
    return True


def scaled_weights(
    node: ir.Node, weights: npt.NDArray[np.float32], scale: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32] | None:
    """The weights of a Conv, ConvTranspose or Gemm times `scale` along their output channels."""
    factor = scale.astype(np.float32)
    if node.op_type == "Conv":
        return weights * factor.reshape(-1, *[1] * (weights.ndim - 1))
    if node.op_type == "ConvTranspose":
        # [C, M/group, ...]: input channel c belongs to group c // (C/group)
        group = shape_of(node.outputs[0])[1] // weights.shape[1]
        rows = np.repeat(factor.reshape(group, -1), weights.shape[0] // group, axis=0)
        return weights * rows.reshape(*rows.shape, *[1] * (weights.ndim - 2))
    settings = {name: attr.value for name, attr in node.attributes.items()}
    if settings.get("alpha", 1.0) != 1.0 or settings.get("beta", 1.0) != 1.0:
        return None
    return weights * (factor[:, None] if settings.get("transB", 0) else factor)
