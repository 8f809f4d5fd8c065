"""Large weights apart from the model: serialized, a model may not be larger than 2 GB."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array

SMALL = 1024


def detach_weights(graph: ir.Graph) -> dict[str, Array]:
    """Mark large initializers as external, and return their arrays by name."""
    weights: dict[str, Array] = {}
    for name, value in graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.nbytes <= SMALL or tensor.dtype != ir.DataType.FLOAT:
            continue
        weights[name] = np.ascontiguousarray(tensor.numpy())
        value.const_value = ir.ExternalTensor(
            "given_in_memory",
            0,
            tensor.nbytes,
            tensor.dtype,
            shape=ir.Shape(weights[name].shape),
            name=name,
        )
    return weights


def attach_weights(graph: ir.Graph, weights: Mapping[str, Array]) -> None:
    """Give initializers their arrays, as `detach_weights` returned them."""
    for name, array in weights.items():
        graph.initializers[name].const_value = ir.Tensor(array, name=name)
