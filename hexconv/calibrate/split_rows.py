"""Large rows of weights are split over copies of their input channel.

The weights of an output have one step. A channel that was scaled down by 64 has a row of weights
64 times as large: the step of all others then is 64 times as coarse. The channel given n times,
with a row of W / n each, leaves the function as it is (outlier channel splitting, Zhao et al. 2019,
arXiv:1901.09504, of inputs that are the same).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.channel_groups import Floats
from hexconv.calibrate.copied_columns import CopiedColumns
from hexconv.onnx_graph.builder import FloatBuilder, array_of

WORTH = 4.0
"""By how much the noise of the weights has to fall, in power."""


def split_rows(readers: Mapping[ir.Value, Sequence[ir.Node]], builder: FloatBuilder) -> None:
    """Give the MatMuls that read a tensor copies of its channels with large rows, where it pays.

    Args:
        readers: MatMuls with constant weights (inputs, outputs), by what they read.
        builder: of the graph.
    """
    for source, nodes in readers.items():
        weights = [np.asarray(array_of(node.inputs[1]), np.float64) for node in nodes]
        columns = _columns(np.concatenate(weights, axis=1))
        if columns is None:
            continue
        wide = columns.appended(source, builder.at(nodes[0]), "/split")
        for node, array in zip(nodes, weights, strict=True):
            node.replace_input_with(0, wide)
            builder.change_const(node, 1, columns.read(array), "/split")


def _columns(weights: Floats) -> CopiedColumns | None:
    """Copies of the input channels with large rows; None where the weights gain little."""
    columns = CopiedColumns.of(np.linalg.norm(weights, axis=1))
    gained = _noise(weights) > WORTH * _noise(weights / columns.counts[:, None])
    return columns if gained else None


def _noise(weights: Floats) -> float:
    """Of weights rounded in steps of the largest of each output."""
    return float((np.abs(weights).max(axis=0) ** 2).sum())
