"""MACE's own two tables, so that a prediction and a phone's log can be compared."""

from __future__ import annotations

from collections.abc import Sequence

RUN_ORDER = "Sort by Run Order"
DURATION = "Sort by Duration"
RUN_HEADS = ("Node Id", "Node Type", "Node Type Id", "Executions", "Duration(ms)")
TYPE_HEADS = ("Node Type", "Times", "Duration(ms)")
MOST_ROWS = 2048
"""Nodes that MACE asks the library for; of a graph with more it gets none and aborts."""

FIRST_ID = 10_000
"""What MACE's runtime adds to the ids of a NetDef when it appends the nodes."""


def mace_id(node: int) -> int:
    """The Node Id of MACE's table for a node of an executed graph.

    Nodes that the library's prepare makes count down from 2^32 - 1; MACE prints them as negative.
    """
    return node - (1 << 32) if node >> 31 else node + FIRST_ID


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as MACE's StringFormatter::Table prints it (mace/utils/string_util.cc)."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    length = sum(widths) + 3 * len(heads) + 1
    dashes = "-" * length

    def line(cells: Sequence[str]) -> str:
        padded = [f" {cell:>{width}} |" for cell, width in zip(cells, widths, strict=True)]
        return "|" + "".join(padded)

    centered = title.rjust(length // 2 + len(title) // 2)
    return "\n".join([dashes, centered, dashes, line(heads), dashes, *map(line, rows), dashes])


def tables(nodes: Sequence[tuple[int, str, int, float]]) -> str:
    """Both tables.

    Args:
        nodes: (MACE's node id, op, op id, milliseconds) in the order of execution.
    """
    run = [
        (str(node - (1 << 32) if node >> 31 == 1 else node), op, str(number), "1", f"{time:.3f}")
        for node, op, number, time in nodes
    ]
    sums: dict[str, tuple[int, float]] = {}
    for _, op, _, time in nodes:
        count, before = sums.get(op, (0, 0.0))
        sums[op] = count + 1, before + time
    types = [
        (op, str(count), f"{time:.3f}")
        for op, (count, time) in sorted(sums.items(), key=lambda item: -item[1][1])
    ]
    return f"{table(RUN_ORDER, RUN_HEADS, run)}\n{table(DURATION, TYPE_HEADS, types)}"
