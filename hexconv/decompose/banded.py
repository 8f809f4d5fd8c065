"""A product with a large constant matrix along one axis, of which each column reads few rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.decompose.along import product_along
from hexconv.onnx_graph.builder import FloatBuilder


@dataclass(frozen=True)
class Block:
    """Adjacent columns of a matrix.

    Attributes:
        first: of the rows that they read.
        matrix: (rows that they read, columns).
    """

    first: int
    matrix: npt.NDArray[Any]


def blocks_of(matrix: npt.NDArray[Any], largest: int) -> list[Block]:
    """The fewest blocks, a power of two, that have at most `largest` entries each.

    Args:
        matrix: each column reads at most `largest` rows.
        largest: entries of a block.
    """
    read = matrix != 0
    empty = ~read.any(axis=0)
    first = np.where(empty, len(matrix) - 1, read.argmax(axis=0))
    end = np.where(empty, 0, len(matrix) - read[::-1].argmax(axis=0))
    columns = np.arange(matrix.shape[1])
    count = 1
    while True:
        parts = np.array_split(columns, min(count, columns.size))
        starts = [int(first[part].min()) for part in parts]
        stops = [
            max(int(end[part].max()), start + 1) for start, part in zip(starts, parts, strict=True)
        ]
        found = [
            Block(start, matrix[start:stop, part])
            for start, stop, part in zip(starts, stops, parts, strict=True)
        ]
        if all(block.matrix.size <= largest for block in found):
            return found
        count *= 2


def product_of_blocks(
    builder: FloatBuilder, value: ir.Value, blocks: list[Block], axis: int, name: str
) -> ir.Value:
    """The same as `product_along` with the whole matrix: the blocks' products, joined."""
    parts = []
    for block in blocks:
        ends = block.first, block.first + len(block.matrix)
        slices = [np.array([number], np.int64) for number in (*ends, axis)]
        read = builder.op("Slice", [value, *slices])
        parts.append(product_along(builder, read, block.matrix, axis, ""))
    return builder.op("Concat", parts, {"axis": axis}, name=name)
