"""A known library defect: d32 data shifted by a depthwise convolution is read incorrectly.

A d32 tensor has padding to the left of each row, 4 pixels as most nodes write it. A depthwise
supernode leaves its result where its windows fall, so it has less (op_dwise_snode_8bit.c,
out_left_pad), and element-wise nodes pass that on. Some nodes then read the wrong
pixels without an error, others fail to execute: measured on the v60 library, node by node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Graph, Node, Padding, Ref
from hexconv.nnlib.prepare.concat_padding import readers_of_one_row

ROOM = 4
"""Pixels to the left of a row as written by nodes that do not inherit it from their input."""

DEPTHWISE = ("DepthwiseSupernode_8x8p8to8_d32", "DepthwiseSupernode_8x8p32to8_d32")
CONVOLUTIONS = ("Supernode_8x8p8to8_d32", "Supernode_8x8p32to8_d32")

PASSES_ON = frozenset(
    (
        "QuantizedTanh_8_d32",
        "QuantizedSigmoid_8_d32",
        "QuantizedNeg_8_d32",
        "Requantize_8to8_d32",
        "QuantizedHardSwish_8_d32",
        "QuantizedSoftmax_8_d32",
        "QuantizedPRelu_8_d32",
        "QuantizedPRelu_8_V2_d32",
        "QuantizedBatchNorm_8x8p8to8_d32",
        "QuantizedBatchNorm_8x8p32to8_d32",
        "QuantizedAdd_8p8to8_d32",
        "QuantizedSub_8p8to8_d32",
        "QuantizedMul_8x8to8_d32",
    )
)

NEEDS_WHOLE = frozenset(
    (
        "QuantizedResizeBilinear_8_d32",
        "QuantizedInstanceNorm_8_d32",
        "QuantizedInstanceNormBG_8_d32",
    )
)
"""Nodes that return wrong values where the padding is not a multiple of 4."""

PRELUS = ("QuantizedPRelu_8_d32", "QuantizedPRelu_8_V2_d32")
FAST_POOLS = (((2, 2), (2, 2)), ((3, 3), (1, 1)), ((3, 3), (2, 2)))
"""Windows and strides for which MaxPool has special code, which is incorrect."""

HINT = "insert a node that runs flat (Clamp or ReluX) between them, or use VALID padding, stride 1"


def require_unshifted(graph: Graph) -> None:
    """Raise for the first node of an executed graph that its d32 input's padding does not suit.

    Raises:
        GraphError: there is one.
    """
    for node in readers_of_one_row(graph):
        raise GraphError(
            f"{node.op.removesuffix('_d32')} with a window after a Concat of one row",
            where=f"node {node.id} '{node.name}'",
            why="the library's Concat leaves no padding above and below one row",
            hint=HINT,
        )
    for node, why in shifted(graph):
        raise GraphError(
            f"{node.op.removesuffix('_d32')} after a depthwise convolution",
            where=f"node {node.id} '{node.name}'",
            why=why,
            hint=HINT,
        )


def shifted(graph: Graph) -> Iterator[tuple[Node, str]]:
    """Every node of an executed graph that would read shifted data incorrectly, and why."""
    if not any(node.op in DEPTHWISE for node in graph.nodes):
        return
    consts = {const.id: const.array.shape for const in graph.consts}
    width = {
        Ref(node.id, port): output.shape[2]
        for node in graph.nodes
        for port, output in enumerate(node.outputs)
    }
    room: dict[Ref, int] = {}
    for node in graph.nodes:
        if not node.inputs:
            continue
        have = min(room.get(ref, ROOM) for ref in node.inputs)
        need, stride = 0, 1
        if node.op in (*DEPTHWISE, *CONVOLUTIONS):
            window, stride = consts[node.inputs[1].node][1], consts[node.inputs[6].node][2]
            need = _before(node, width[node.inputs[0]], window, stride)
        if have != ROOM and _misreads(node, have, consts):
            yield node, f"its rows begin {have} pixels in, and the node reads from multiples of 4"
        elif need > have:
            yield node, f"it needs {need} pixels left of each row where {have} are"
        if node.op in PASSES_ON:
            room[Ref(node.id)] = have
        elif node.op in DEPTHWISE:
            room[Ref(node.id)] = max(have - need, 0) // stride


def _misreads(node: Node, room: int, consts: Mapping[int, tuple[int, ...]]) -> bool:
    """Whether a node returns wrong values for data with this padding."""
    if node.op in PRELUS:
        return room in (2, 3)
    if node.op == "QuantizedMaxPool_8_d32":
        window, stride = (consts[ref.node][1:3] for ref in node.inputs[3:5])
        return (window, stride) in FAST_POOLS
    return node.op in NEEDS_WHOLE


def _before(node: Node, width: int, window: int, stride: int) -> int:
    """Columns of padding left of the input (nn_graph_padding.h)."""
    if node.padding is Padding.VALID:
        return 0
    total = max((-(-width // stride) - 1) * stride + window - width, 0)
    return (total + 1) // 2 if node.padding is Padding.SAME_CAFFE else total // 2
