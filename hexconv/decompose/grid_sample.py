"""GridSample at constant positions: the weights of each are constant, so they are computed here.

ONNX Runtime itself computes them (a GridSample of unit images), whatever the mode or padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.decompose.along import product_along
from hexconv.decompose.banded import blocks_of, product_of_blocks
from hexconv.onnx_graph.builder import OPSET, FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.evaluate import evaluate
from hexconv.onnx_graph.rules import DECOMPOSITIONS

MOST_UNITS = 1 << 26
"""Numbers of the unit images, and of the weights before those that are 0 are left out."""
LARGEST = 1 << 18
"""Weights of one product."""
MOST_WEIGHTS = 1 << 22
"""Of all products of a node: a multiply-accumulate of each channel for each."""


@DECOMPOSITIONS.rule("GridSample")
def grid_sample(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """A Gather where each position is one element, else a product with the weights.

    One grid for the whole batch; others stay as they are.
    """
    value, grid = node.inputs[0], array_of(node.inputs[1])
    if value is None or grid is None or not np.array_equal(grid, np.repeat(grid[:1], len(grid), 0)):
        return None
    batch, channels, *image = shape_of(value)
    elements, results = prod(image), prod(grid.shape[1:-1])
    if elements * max(elements, results) > MOST_UNITS:
        return None
    weights = _weights(node, image, grid[:1])
    flat = builder.op("Reshape", [value, np.array([batch, channels, elements], np.int64)])
    read = _read(builder, flat, weights)
    if read is None:
        return None
    shape = np.array(shape_of(node.outputs[0]), np.int64)
    return [builder.op("Reshape", [read, shape], name=str(node.name))]


def _read(builder: FloatBuilder, flat: ir.Value, weights: npt.NDArray[Any]) -> ir.Value | None:
    """(batch, channels, elements) times (elements, results); None where that is too much."""
    if bool(((weights != 0).sum(axis=0) == 1).all()) and bool((weights.max(axis=0) == 1).all()):
        return builder.op("Gather", [flat, weights.argmax(axis=0)], {"axis": 2})
    blocks = blocks_of(weights, LARGEST)
    if len(blocks) == 1:
        return product_along(builder, flat, weights, 2, "")
    if sum(block.matrix.size for block in blocks) > MOST_WEIGHTS:
        return None
    return product_of_blocks(builder, flat, blocks, 2, "")


def _weights(node: ir.Node, image: Sequence[int], grid: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(elements, results): column j has the weights of the image's elements in result j."""
    elements = prod(image)
    units = np.eye(elements, dtype=np.float32).reshape(1, elements, *image)
    kept = {name: attr.value for name, attr in node.attributes.items()}
    sampled = evaluate(ir.node("GridSample", [None, None], kept), [units, grid], OPSET)[0]
    return sampled.reshape(elements, -1)
