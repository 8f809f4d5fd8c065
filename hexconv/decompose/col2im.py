"""Col2Im, torch's Fold, as a transposed convolution whose kernel only places values."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.errors import ModelError
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS

MOST_AXES = 2


@DECOMPOSITIONS.rule("Col2Im")
def columns_by_transposed_convolution(
    node: ir.Node, builder: FloatBuilder
) -> Sequence[ir.Value] | None:
    """Tap t of column l of each channel goes where a kernel of one 1, at tap t, puts it.

    ONNX Col2Im: x (N, C * taps, columns) to y (N, C, *image); the columns are the positions of the
    block in row-major order. Exact: overlaps are the sums that a ConvTranspose of C groups makes.
    """
    image, block = (array_of(value) for value in node.inputs[1:3])
    if image is None or block is None or len(image) > MOST_AXES:
        return None
    sizes, taps = [int(n) for n in image], [int(n) for n in block]
    strides, dilations = (_ints(node, name, [1] * len(taps)) for name in ("strides", "dilations"))
    pads = _ints(node, "pads", [0] * 2 * len(taps))
    reach = [(k - 1) * d + 1 for k, d in zip(taps, dilations, strict=True)]
    padded = [n + pads[i] + pads[i + len(taps)] for i, n in enumerate(sizes)]
    counts = [(n - r) // s + 1 for n, r, s in zip(padded, reach, strides, strict=True)]
    batch, rows, given = shape_of(node.inputs[0])
    if rows % prod(taps) or given != prod(counts):
        raise ModelError(
            "a node does not fit its inputs",
            where=f"node '{node.name}' (Col2Im)",
            why=f"{rows} rows and {given} columns, where blocks of {taps} elements have "
            f"{prod(counts)} positions in the image of {sizes}",
        )
    columns = builder.op("Reshape", [node.inputs[0], np.array([batch, rows, *counts])])
    attrs = {
        "group": rows // prod(taps),
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "output_padding": [
            n - (c - 1) * s - r for n, c, s, r in zip(padded, counts, strides, reach, strict=True)
        ],
    }
    kernel = _placing(rows // prod(taps), taps)
    return [builder.op("ConvTranspose", [columns, kernel], attrs, name=str(node.name))]


def _placing(channels: int, taps: Sequence[int]) -> npt.NDArray[np.float32]:
    """(channels * taps, 1, *taps): row t of each channel is 1 at tap t."""
    each = np.eye(prod(taps), dtype=np.float32).reshape(prod(taps), 1, *taps)
    return np.tile(each, (channels, 1, *(1 for _ in taps)))


def _ints(node: ir.Node, name: str, default: list[int]) -> list[int]:
    attr = node.attributes.get(name)
    return default if attr is None else [int(value) for value in attr.as_ints()]
