"""Max and Min with constants: a bound beyond all that it is compared with needs no levels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, constant
from hexconv.quantize import Bounds


def bound_constants(graph: FloatGraph, observed: Mapping[str, Bounds]) -> None:
    """Clip constants of Max to the lowest, of Min to the highest value that they meet."""
    for node in graph.nodes:
        if node.domain or node.op_type not in ("Max", "Min"):
            continue
        met = [observed[str(v.name)] for v in node.inputs if v is not None and v.name in observed]
        if not met:
            continue
        for position, value in enumerate(node.inputs):
            array = array_of(value)
            if value is None or array is None:
                continue
            if node.op_type == "Max":
                bounded = np.maximum(array, np.float32(min(low for low, _ in met)))
            else:
                bounded = np.minimum(array, np.float32(max(high for _, high in met)))
            if not np.array_equal(bounded, array):
                new = constant(f"{value.name}/of/{node.name}", bounded.astype(np.float32))
                graph.graph.register_initializer(new)
                node.replace_input_with(position, new)
