"""CenterCropPad as a Pad, whose negative amounts crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("CenterCropPad")
def center_crop_pad(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value]:
    """Half of the difference before (rounded down), the rest after."""
    before, after = [], []
    pairs = zip(shape_of(node.inputs[0]), shape_of(node.outputs[0]), strict=True)
    for size, wanted in pairs:
        first = (wanted - size) // 2 if wanted >= size else -((size - wanted) // 2)
        before.append(first)
        after.append(wanted - size - first)
    amounts = np.array([*before, *after], np.int64)
    return [builder.op("Pad", [node.inputs[0], amounts], name=str(node.name))]
