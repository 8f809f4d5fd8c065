"""Gather_8, Table_8 and CastUInt8ToInt32: the library's lookup tables (op_gather.c, op_cast.c)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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


class GatherPlan(NamedTuple):
    """Which axis of the table without its leading ones is looked up; ranks without them."""

    axis: int
    table_rank: int
    index_rank: int


def gather_plan(
    op: str, index: tuple[int, ...], table: tuple[int, ...], options: Sequence[int]
) -> GatherPlan:
    """How an index of one shape looks up a table of another (`analyze_gather_op`).

    Args:
        op: the node's.
        index: shape of the index.
        table: shape of the table.
        options: inputs 4 and 5, as far as they are there.
    """
    if op == "Table_8" and options:
        raise GraphError("a partitioned Table_8 is not simulated", hint="use Gather_8")
    chosen, wanted_rank = [*options, -1, -1][:2]
    table_rank = max(1, apparent_rank(table))
    axis = 4 - table_rank
    if chosen >= 0:
        axis = chosen
        table_rank = max(table_rank, 4 - axis)
    index_rank = apparent_rank(index)
    if wanted_rank >= 0:
        if not index_rank <= wanted_rank <= 4:
            raise GraphError(f"{op} with an index of shape {index}, rank {wanted_rank}")
        index_rank = wanted_rank
    if axis > 3 or index_rank + table_rank > 5:
        raise GraphError(
            f"{op} of a table {table} along {axis} by an index {index}",
            why="the result has more than 4 dimensions",
        )
    return GatherPlan(axis - (4 - table_rank), table_rank, index_rank)


@kernel("Gather_8", "Table_8")
def gather(call: KernelCall) -> list[Array]:
    """Slices of a table along one of its dimensions.

    Inputs are index, table, table min, table max, [dimension], [rank of the index]. Leading ones
    of both shapes are dropped; the index replaces the dimension looked up. An index out
    of range is clamped, or rejected where the node's padding is SAME.
    """
    index, table = call.inputs[:2]
    options = [int(tensor.flat[0]) for tensor in call.inputs[4:6]]
    plan = gather_plan(call.op, index.shape, table.shape, options)
    inner = table.reshape(table.shape[4 - plan.table_rank :])
    size: int = inner.shape[plan.axis]
    if call.padding is Padding.SAME and not ((index >= 0) & (index < size)).all():
        raise GraphError(f"{call.op} with an index outside 0..{size - 1}")
    places = index.reshape(index.shape[4 - plan.index_rank :])
    found = np.take(inner, places, axis=plan.axis, mode="clip")
    shape = (1,) * (4 - found.ndim) + found.shape
    return [found.reshape(shape), call.inputs[2].copy(), call.inputs[3].copy()]
