"""Gather_8, Table_8 and CastUInt8ToInt32: the library's lookup tables (op_gather.c, op_cast.c)."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Padding
from hexconv.simulator.registry import KernelCall, kernel


@kernel("CastUInt8ToInt32")
def cast(call: KernelCall) -> list[Array]:
    """uint8 as int32."""
    return [call.inputs[0].astype(np.int32)]


def apparent_rank(shape: tuple[int, ...]) -> int:
    """Rank without the leading ones."""
    return next((len(shape) - i for i, size in enumerate(shape) if size != 1), 0)


@kernel("Gather_8", "Table_8")
def gather(call: KernelCall) -> list[Array]:
    """Slices of a table along one of its dimensions (`analyze_gather_op`).

    Inputs are index, table, table min, table max, [dimension], [rank of the index]. Leading ones
    of both shapes are dropped; the index replaces the dimension looked up. An index out
    of range is clamped, or rejected where the node's padding is SAME.
    """
    index, table = call.inputs[:2]
    options = [int(tensor.flat[0]) for tensor in call.inputs[4:6]]
    if call.op == "Table_8" and options:
        raise GraphError("a partitioned Table_8 is not simulated", hint="use Gather_8")
    chosen, wanted_rank = [*options, -1, -1][:2]
    table_rank = max(1, apparent_rank(table.shape))
    axis = 4 - table_rank
    if chosen >= 0:
        axis = chosen
        table_rank = max(table_rank, 4 - axis)
    index_rank = apparent_rank(index.shape)
    if wanted_rank >= 0:
        if not index_rank <= wanted_rank <= 4:
            raise GraphError(f"{call.op} with an index of shape {index.shape}, rank {wanted_rank}")
        index_rank = wanted_rank
    if axis > 3 or index_rank + table_rank > 5:
        raise GraphError(
            f"{call.op} of a table {table.shape} along {axis} by an index {index.shape}",
            why="the result has more than 4 dimensions",
        )
    size = table.shape[axis]
    if call.padding is Padding.SAME and not ((index >= 0) & (index < size)).all():
        raise GraphError(f"{call.op} with an index outside 0..{size - 1}")
    inner = table.reshape(table.shape[4 - table_rank :])
    places = index.reshape(index.shape[4 - index_rank :])
    found = np.take(inner, places, axis=axis - (4 - table_rank), mode="clip")
    shape = (1,) * (4 - found.ndim) + found.shape
    return [found.reshape(shape), call.inputs[2].copy(), call.inputs[3].copy()]
