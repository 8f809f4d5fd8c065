"""A known library defect: data of one row or column may lack the padding that a window reads.

Four ops leave less of it around one row, or one column, than around larger data
(nnlib/prepare/d32_margins), and a convolution or pool behind them fails to execute ("insufficient
H padding", "inadequate top/bottom padding"), or overwrites other data. The last pixels that a
window reads to the right of the last row are in the row below it, so it needs one row more than
its kernel has.
"""

from __future__ import annotations

from collections.abc import Iterator

from hexconv.nnlib.graph import Graph, Node
from hexconv.nnlib.prepare.d32_margins import (
    AVERAGE_POOL,
    FULL,
    MAX_POOL,
    Margin,
    Window,
    margins,
    read_margin,
    tensor_shapes,
    window_of,
)


def readers_short_of_rows(graph: Graph) -> Iterator[Node]:
    """Nodes of an executed graph that read rows above or below their input which it lacks."""
    consts = {const.id: const.array.shape for const in graph.consts}
    found = margins(graph, consts)
    if not found:
        return
    shapes = tensor_shapes(graph)
    for node in graph.nodes:
        have = read_margin(node, found)
        window = window_of(node, shapes, consts) if have.rows < FULL.rows else None
        if window is not None and _is_short(node, window, have, shapes[node.inputs[0]][2]):
            yield node


def _is_short(node: Node, window: Window, have: Margin, width: int) -> bool:
    """Whether rows are missing; a pool needs those of the overlap only.

    A convolution that reads rows above its input fills one row more than that: without it, it
    overwrites what is in memory before the tensor (supernode_utils.h, zap_toptop; not on v66).
    """
    if node.op == AVERAGE_POOL:
        return False
    below = window.below(have, width)
    if node.op == MAX_POOL:
        return node.outputs[0].shape[2] > 1 and below - window.rows[1] > have.rows
    above = window.rows[0] + (window.rows[0] > 0)
    return max(above, below) > have.rows
