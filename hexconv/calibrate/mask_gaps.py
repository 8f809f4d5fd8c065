"""Whether what is added to scores is a mask: whether its values are near zero or far from it.

Negative distances, or scores with a bias, reach as far below zero as a mask does. A mask has no
values between those that keep a score and those that hide it; the range alone does not tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.calibrate.mask_ways import joined_by, way_behind
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.quantize import Bounds

# A branch is a mask where it reaches this far below all scores; one that is 0 or a number, sooner.
FAR, STEP_FAR = 100.0, 24.0
# Where nothing but the range is known.
FAR_ALONE = 1000.0


def possible_masks(graph: FloatGraph) -> Iterator[tuple[ir.Node, ir.Value]]:
    """The computed operands of joins that lead to softmax, ArgMax, a maximum or GELU."""
    seen: set[ir.Value] = set()
    for node in graph.nodes:
        if way_behind(node) is None:
            continue
        for index in joined_by(node):
            value = node.inputs[index] if index < len(node.inputs) else None
            if value is not None and value not in seen and array_of(value) is None:
                seen.add(value)
                yield node, value


def compute_near(builder: FloatBuilder, value: ir.Value) -> None:
    """Compute those values of a possible mask that are near zero, under a name of their own."""
    name = _near_name(value)
    size = builder.op("Abs", [value], name=f"{name}/size")
    near = builder.op("Less", [size, np.float32(FAR)], name=f"{name}/is")
    builder.op("Where", [near, value, np.float32(0.0)], name=name)


def near_zero(value: ir.Value, bounds: Bounds, ranges: Mapping[str, Bounds]) -> Bounds:
    """Those of a value's bounds that are nearer to zero than `FAR`."""
    array = array_of(value)
    if array is not None:
        return _near_in_rows(array)
    known = ranges.get(_near_name(value))
    if known is not None:
        return known
    # Ranges of another tool: what is at zero and far from it only, as masks are.
    return (0.0, 0.0) if 0.0 in bounds and max(map(abs, bounds)) >= FAR_ALONE else bounds


def _near_in_rows(array: Array) -> Bounds:
    """Of a constant: a bias that grows with the distance hides nothing in a row that has a 0."""
    bounds = []
    for values in (array, -array):
        near = values[np.abs(values) < FAR]
        least = float(near.min()) if near.size else 0.0
        if least <= -STEP_FAR and array.ndim > 1:
            least = min(float(values.max(axis).min()) for axis in (-1, -2))
        bounds.append(least)
    return bounds[0], -bounds[1]


def _near_name(value: ir.Value) -> str:
    """The name of those values of a possible mask that are nearer to zero than `FAR`."""
    return f"{value.name}/near"
