"""A known library defect: d32 data with less than 4 pixels to the left of its rows is misread.

A depthwise supernode leaves its result where its windows fall, so it has less
(op_dwise_snode_8bit.c, out_left_pad), a mean that leaves one pixel has 2 and a Concat of one
column none (nnlib/prepare/d32_margins). Some nodes then read the wrong pixels without an
error, others fail to execute: measured on the v60 library, node by node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Graph, Node, Padding
from hexconv.nnlib.prepare.d32_margins import (
    AVERAGE_POOL,
    DEPTHWISE,
    FULL,
    MAX_POOL,
    RESIZE,
    Margin,
    Window,
    margins,
    read_margin,
    right_of,
    tensor_shapes,
    window_of,
)
from hexconv.nnlib.prepare.prelu_input import overrunning_prelus
from hexconv.nnlib.prepare.row_padding import readers_short_of_rows

NORMS = ("QuantizedInstanceNorm_8_d32", "QuantizedInstanceNormBG_8_d32")

PRELUS = ("QuantizedPRelu_8_d32", "QuantizedPRelu_8_V2_d32")
FAST_POOLS = (((2, 2), (2, 2)), ((3, 3), (1, 1)), ((3, 3), (2, 2)))
"""Windows and strides for which MaxPool has special code, which is incorrect."""

HINT = "insert a node that runs flat (Clamp or ReluX) between them, or use VALID padding, stride 1"


def require_unshifted(graph: Graph) -> None:
    """Raise for the first node of an executed graph that its d32 input does not suit.

    Raises:
        GraphError: there is one.
    """
    for node in readers_short_of_rows(graph):
        raise GraphError(
            f"{node.op.removesuffix('_d32')} with a window on data with too few rows of padding",
            where=f"node {node.id} '{node.name}'",
            why="some nodes of the library leave few rows, or none, around a single one",
            hint=HINT,
        )
    for node in overrunning_prelus(graph):
        raise GraphError(
            "QuantizedPRelu_8_V2 directly behind a convolution of few channels",
            where=f"node {node.id} '{node.name}'",
            why="its slopes overrun the memory that the library keeps for them",
            hint=HINT,
        )
    for node, why in shifted(graph):
        raise GraphError(
            f"{node.op.removesuffix('_d32')} on data with too little padding left of its rows",
            where=f"node {node.id} '{node.name}'",
            why=why,
            hint=HINT,
        )


def shifted(graph: Graph) -> Iterator[tuple[Node, str]]:
    """Every node of an executed graph that would read shifted data incorrectly, and why."""
    consts = {const.id: const.array.shape for const in graph.consts}
    found = margins(graph, consts)
    if not any(margin.left != FULL.left for margin in found.values()):
        return
    shapes = tensor_shapes(graph)
    for node in graph.nodes:
        have = read_margin(node, found).left
        if have == FULL.left:
            continue
        window = window_of(node, shapes, consts)
        if node.inputs and _misreads(node, have, consts, shapes.get(node.inputs[0], ())):
            yield node, f"its rows begin {have} pixels in, and the node reads from multiples of 4"
        elif window is not None and _overreads(node, window, have, shapes[node.inputs[0]][2]):
            need = max(window.columns)
            yield node, f"it needs {need} pixels left of each row where {have} are"


def _misreads(
    node: Node, have: int, consts: Mapping[int, tuple[int, ...]], shape: tuple[int, ...]
) -> bool:
    """Whether a node returns wrong values for data of a shape with this padding."""
    if node.op in PRELUS:
        return have in (2, 3)
    if node.op in NORMS:
        return True
    if shape[1:3] == (1, 1):
        return False
    if node.op == MAX_POOL:
        window, stride = (consts[ref.node][1:3] for ref in node.inputs[3:5])
        return (window, stride) in FAST_POOLS
    return node.op == RESIZE and have % FULL.left > 0


def _overreads(node: Node, window: Window, have: int, width: int) -> bool:
    """Whether a window leaves the padding; to the right of a row is the left of the next one."""
    before, after = window.columns
    if node.op == AVERAGE_POOL:
        return False
    if not have and (node.op in DEPTHWISE or _fills_padding(node)):
        return True
    return before > have or after > have + right_of(Margin(FULL.rows, have), width)


def _fills_padding(node: Node) -> bool:
    """Whether a pool writes the padding of its input, which takes at least one pixel."""
    return node.op == MAX_POOL and node.padding is not Padding.VALID
