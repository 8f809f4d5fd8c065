"""The padding around d32 data: what each node leaves, and what each window needs of it.

A d32 tensor has pixels to the left and right of each row and rows above and below. Most nodes
write 4 to the left and 4 rows; some write fewer, and element-wise nodes copy what their input
has. Measured on the v60 library, producer by producer and reader by reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hexconv.nnlib.graph import Graph, Node, Padding, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.shapes.view import window as output_size

DEPTHWISE = ("DepthwiseSupernode_8x8p8to8_d32", "DepthwiseSupernode_8x8p32to8_d32")
CONVOLUTIONS = ("Supernode_8x8p8to8_d32", "Supernode_8x8p32to8_d32")
MAX_POOL, AVERAGE_POOL = "QuantizedMaxPool_8_d32", "QuantizedAvgPool_8_d32"
CONCAT = "QuantizedConcat_8_d32"
SPACES = ("DepthToSpace_8_d32", "BatchToSpaceND_8_d32", "SpaceToBatchND_8_d32")
ORIGINS = frozenset((*DEPTHWISE, AVERAGE_POOL, CONCAT, *SPACES))
"""Nodes that may leave less padding than FULL whatever their input has."""

COPIES = frozenset(
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
        "QuantizedLRN_8_d32",
        "QuantizedInstanceNorm_8_d32",
        "QuantizedInstanceNormBG_8_d32",
        "QuantizedSplit_8_d32",
        "QuantizedChannelShuffle_8_d32",
        "MirrorPad_8_d32",
    )
)
RESIZE = "QuantizedResizeBilinear_8_d32"


class Margin(NamedTuple):
    """Rows of padding above and below a d32 tensor, and pixels to the left of each row."""

    rows: int
    left: int


FULL = Margin(4, 4)


class Window(NamedTuple):
    """Padding that a node reads around its input: (before, after) along H and W.

    `spare` says whether it leaves the last row of the input unread.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    stride: int
    spare: bool

    def below(self, margin: Margin, width: int) -> int:
        """Rows that it reads below: the last pixels of a row may be the left of the next one."""
        overlaps = self.columns[1] > right_of(margin, width) and not self.spare
        return self.rows[1] + overlaps


def right_of(margin: Margin, width: int) -> int:
    """Pixels of padding to the right of a row: rows are multiples of 4 pixels."""
    return -(margin.left + width) % 4


def margins(graph: Graph, consts: Mapping[int, tuple[int, ...]]) -> dict[Ref, Margin]:
    """The tensors of an executed graph with less padding than FULL.

    Args:
        graph: as prepared.
        consts: the shape of each const.
    """
    found: dict[Ref, Margin] = {}
    if not any(node.op in ORIGINS for node in graph.nodes):
        return found
    shapes = tensor_shapes(graph)
    for node in graph.nodes:
        margin = _left_by(node, found, shapes, consts)
        for port, output in enumerate(node.outputs):
            if margin != FULL and output.elsize == 1:
                found[Ref(node.id, port)] = margin
    return found


def tensor_shapes(graph: Graph) -> dict[Ref, Shape4]:
    """The declared shape of every output."""
    return {
        Ref(node.id, port): output.shape
        for node in graph.nodes
        for port, output in enumerate(node.outputs)
    }


def read_margin(node: Node, found: Mapping[Ref, Margin]) -> Margin:
    """The least padding of a node's inputs."""
    have = [found[ref] for ref in node.inputs if ref in found]
    return Margin(min(m.rows for m in have), min(m.left for m in have)) if have else FULL


def window_of(
    node: Node, shapes: Mapping[Ref, Shape4], consts: Mapping[int, tuple[int, ...]]
) -> Window | None:
    """What a convolution or pool reads around its input (include/nn_graph_padding.h)."""
    if node.op in (*DEPTHWISE, *CONVOLUTIONS):
        kernel, strides = consts[node.inputs[1].node][:2], consts[node.inputs[6].node][1:3]
    elif node.op in (MAX_POOL, AVERAGE_POOL):
        kernel, strides = (consts[ref.node][1:3] for ref in node.inputs[3:5])
    else:
        return None
    sizes = shapes[node.inputs[0]][1:3]
    rows, columns = (
        _around(*axis, node.padding) for axis in zip(sizes, kernel, strides, strict=True)
    )
    if node.op == MAX_POOL:
        rows, columns = (
            (0, 0) if size == 1 else around
            for around, size in zip((rows, columns), node.outputs[0].shape[1:3], strict=True)
        )
    used = kernel[0] + (output_size(sizes[0], kernel[0], strides[0], node.padding) - 1) * strides[0]
    spare = strides[0] > 1 and rows[1] == 0 and used < rows[0] + sizes[0]
    return Window(rows, columns, strides[1], spare)


def _around(size: int, kernel: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Padding before and after an axis."""
    if padding is Padding.VALID:
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    before = (total + 1) // 2 if padding is Padding.SAME_CAFFE else total // 2
    return before, total - before


def _left_by(
    node: Node,
    found: Mapping[Ref, Margin],
    shapes: Mapping[Ref, Shape4],
    consts: Mapping[int, tuple[int, ...]],
) -> Margin:
    """The padding around what a node writes (tensor_out_prepare_padded_d32 in each op's file)."""
    if not node.outputs or not node.inputs:
        return FULL
    _, height, width, _ = node.outputs[0].shape
    if node.op == CONCAT:
        return Margin(FULL.rows * (height > 1), FULL.left * (width > 1))
    if node.op == AVERAGE_POOL:
        return Margin(1 if height == 1 else FULL.rows, 2 if height == width == 1 else FULL.left)
    if node.op in SPACES:
        return Margin(1 if height == 1 else FULL.rows, FULL.left)
    have = read_margin(node, found)
    if node.op in COPIES:
        return have
    if node.op == RESIZE:
        return Margin(have.rows, FULL.left)
    if node.op in DEPTHWISE:
        window = window_of(node, shapes, consts)
        assert window is not None
        return Margin(FULL.rows, max(have.left - window.columns[0], 0) // window.stride)
    return FULL
