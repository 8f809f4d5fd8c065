"""Matrix products padded to sizes with vector code.

QuantizedBatchMatMul_8x8to32 works in scalar C when K is no multiple of 16: 6.4 M packets instead of
0.17 M for 4 x 144x36 by 36x144. Columns after the last multiple of 32 are expensive too. Zeros are
the zero point, so padding is exact; the surplus is cropped after the Requantize.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder
from hexconv.nnlib.graph import Graph, Node, Output, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.optimize.registry import Stage, rewrite

ALIGN_K, ALIGN_N = 16, 32
# Measured with `hexconv device profile` on the v60 library: packets an element of Pad's and
# Slice's output and of Requantize's, and what a row saves when N is a multiple of 32.
PAD, SLICE, REQUANTIZE, ROW_SAVING = 0.052, 0.033, 0.065, 22.0


@rewrite(Stage.NNLIB)
def pad_matmul(graph: Graph) -> int:
    """BatchMatMul with K padded to 16, and N to 32 where that is cheaper: its fast code."""
    builder = Builder.on(graph)
    readers = graph.consumers()
    nodes: list[Node] = []
    renamed: dict[Ref, Ref] = {}
    wide: dict[int, int] = {}
    count = 0
    for node in graph.nodes:
        node = replace(node, inputs=tuple(renamed.get(ref, ref) for ref in node.inputs))
        if node.op == "QuantizedBatchMatMul_8x8to32":
            requantize = _only_requantize(node, readers)
            depth, columns = _padded_sizes(node, builder, requantize is not None)
            changed, extra = _padded(node, depth, columns, builder)
            count += changed != node
            nodes += [*extra, changed]
            if requantize is not None and changed.outputs[0].shape != node.outputs[0].shape:
                wide[requantize.id] = columns
            continue
        if node.id in wide:
            widened, cut = _widened(node, wide[node.id], builder)
            nodes += [widened, cut]
            renamed.update({Ref(node.id, port): Ref(cut.id, port) for port in range(3)})
            continue
        nodes.append(node)
    graph.nodes[:] = nodes
    return count


def _only_requantize(node: Node, readers: dict[Ref, list[tuple[Node, int]]]) -> Node | None:
    """The Requantize_32to8 that is the only reader of a product."""
    found = {
        reader.id: reader for port in range(3) for reader, _ in readers.get(Ref(node.id, port), [])
    }
    if len(found) != 1:
        return None
    reader = next(iter(found.values()))
    return reader if reader.op == "Requantize_32to8" else None


def _padded_sizes(node: Node, builder: Builder, cut: bool) -> tuple[int, int]:
    """K and N to compute with."""
    b, h, rows, depth = builder.shape(node.inputs[0])
    columns = builder.shape(node.inputs[1])[3]
    depth = -(-depth // ALIGN_K) * ALIGN_K
    wide = -(-columns // ALIGN_N) * ALIGN_N
    lines = b * h * rows
    price = b * h * depth * wide * PAD + lines * (columns * SLICE + (wide - columns) * REQUANTIZE)
    return depth, wide if cut and lines * ROW_SAVING > price else columns


def _padded(node: Node, depth: int, columns: int, builder: Builder) -> tuple[Node, list[Node]]:
    left, right, a_low, a_high, b_low, b_high = node.inputs
    b, h, rows, _ = builder.shape(left)
    extra: list[Node] = []
    a = _grown(node, left, a_low, a_high, (b, h, rows, depth), builder, extra)
    w = _grown(node, right, b_low, b_high, (b, h, depth, columns), builder, extra)
    output = Output((b, h, rows, columns), node.outputs[0].dtype)
    inputs = (a, w, a_low, a_high, b_low, b_high)
    if inputs == node.inputs:
        return node, extra
    return replace(node, inputs=inputs, outputs=(output, *node.outputs[1:])), extra


def _grown(
    node: Node, data: Ref, low: Ref, high: Ref, shape: Shape4, builder: Builder, extra: list[Node]
) -> Ref:
    """`data` with zeros after its rows and columns."""
    have = builder.shape(data)
    if have == shape:
        return data
    sides = [(0, want - size) for want, size in zip(shape, have, strict=True)]
    array = builder.values(data)
    if array is not None:
        zero = _zero_code(builder, low, high)
        return builder.const(f"{node.name}/grown", np.pad(array, sides, constant_values=zero))
    paddings = builder.const(f"{node.name}/paddings", np.asarray(sides, np.int32)[None, None])
    pad = builder.new_node(
        "QuantizedPad_8",
        (data, low, high, paddings),
        (Output(shape, "uint8"), *RANGE_OUTPUTS),
        name=f"{node.name}/grown",
        onnx_node=node.onnx_node,
    )
    extra.append(pad)
    return Ref(pad.id)


def _zero_code(builder: Builder, low: Ref, high: Ref) -> int:
    bottom, top = builder.values(low), builder.values(high)
    assert bottom is not None and top is not None  # a const has const limits
    return round(-float(bottom.flat[0]) * 255.0 / (float(top.flat[0]) - float(bottom.flat[0])))


def _widened(node: Node, columns: int, builder: Builder) -> tuple[Node, Node]:
    """The Requantize on all columns, and the Slice that returns the original ones."""
    b, h, rows, wanted = node.outputs[0].shape
    widened = replace(
        node,
        name=builder.unique(f"{node.name}/wide"),
        outputs=(Output((b, h, rows, columns), "uint8"), *node.outputs[1:]),
        origin=None,
    )
    begin = builder.const(f"{node.name}/begin", np.zeros((1, 1, 1, 4), np.int32))
    size = np.asarray([b, h, rows, wanted], np.int32).reshape(1, 1, 1, 4)
    cut = builder.copy(
        node,
        op="QuantizedSlice_8",
        inputs=(
            Ref(node.id),
            begin,
            builder.const(f"{node.name}/size", size),
            Ref(node.id, 1),
            Ref(node.id, 2),
        ),
    )
    return widened, cut
