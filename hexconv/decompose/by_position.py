"""Any constant rearrangement of elements as Reshape, Gather of rows, Reshape."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, shape_of

Positions = npt.NDArray[Any]

# Gathering a row costs the library some scalar instructions and 4 bytes of index.
LARGEST = 1 << 20


def taken(
    builder: FloatBuilder, sources: Sequence[ir.Value], positions: Positions, name: str
) -> ir.Value | None:
    """The elements at `positions` of the concatenated sources.

    Args:
        builder: makes the nodes.
        sources: values of any shapes.
        positions: int64, in the shape of the result, into all flattened sources together.
        name: of the last node.

    Returns:
        The result; None where too many rows would have to be gathered.
    """
    sizes = [prod(shape_of(value)) for value in sources]
    length = row_length(positions, sizes)
    rows = positions.reshape(-1, length)[:, 0] // length
    if rows.size > LARGEST:
        return None
    flat = [
        builder.op("Reshape", [value, np.array([size // length, length], np.int64)])
        for value, size in zip(sources, sizes, strict=True)
    ]
    joined = flat[0] if len(flat) == 1 else builder.op("Concat", flat, {"axis": 0})
    if not np.array_equal(rows, np.arange(sum(sizes) // length)):
        joined = builder.op("Gather", [joined, rows], {"axis": 0})
    shape = np.array(positions.shape, np.int64)
    return builder.op("Reshape", [joined, shape], name=name)


def row_length(positions: Positions, sizes: Sequence[int]) -> int:
    """The longest rows, all of one length, that can be moved as a whole."""
    flat = positions.reshape(-1)
    breaks = np.flatnonzero(np.diff(flat) != 1) + 1
    starts = flat[np.concatenate(([0], breaks))]
    return int(np.gcd.reduce(np.concatenate((breaks, starts, sizes, [flat.size]))))


def numbered(value: ir.Value | None) -> Positions:
    """The position of each element of a value, in its shape."""
    shape = shape_of(value)
    return np.arange(prod(shape), dtype=np.int64).reshape(shape)
