"""Concatenated slices of one tensor as one lookup of rows.

A wide depthwise convolution stacks its input, shifted (lowering/depthwise). As slices and
a Concat that is a Slice and a conversion to d32 per row, and the Concat; Gather copies the same
rows in one node. Where a row is shorter than a vector it copies byte by byte: 0.4 packets each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hexconv.nnlib.builder import Builder
from hexconv.nnlib.graph import Graph, Node, Padding, Ref
from hexconv.optimize.registry import Stage, rewrite

SLICE = "QuantizedSlice_8"
VECTOR = 128
H, W = 1, 2


@rewrite(Stage.NNLIB)
def rows_by_gather(graph: Graph) -> int:
    """A Concat of slices along W of one tensor is one Gather, where a row fills a vector."""
    builder = Builder.on(graph)
    nodes = graph.node_by_id()
    readers = graph.consumers()
    count = 0
    for position, node in enumerate(graph.nodes):
        if node.op != "QuantizedConcat_8":
            continue
        parts = (len(node.inputs) - 1) // 3
        slices = [nodes.get(ref.node) for ref in node.inputs[1 : 1 + parts]]
        rows = _rows(node, slices, readers, builder)
        if rows is None:
            continue
        first = slices[0]
        assert first is not None
        index = builder.const(f"{node.name}/index", rows)
        data, _, _, low, high = first.inputs
        inputs = (index, data, low, high)
        graph.nodes[position] = replace(node, op="Gather_8", inputs=inputs, padding=Padding.NA)
        count += 1
    return count


def _rows(
    concat: Node,
    slices: list[Node | None],
    readers: Mapping[Ref, list[tuple[Node, int]]],
    builder: Builder,
) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]] | None:
    """The rows of each part, as the index of a Gather; None for anything else."""
    axis = builder.values(concat.inputs[0])
    first = slices[0]
    if axis is None or first is None or first.op != SLICE or int(axis.flat[0]) not in (H, W):
        return None
    batch, height, _, depth = builder.shape(first.inputs[0])
    if batch != 1 or height != 1 or depth < VECTOR:
        return None
    stretches = []
    for node in slices:
        if node is None or node.op != SLICE or node.inputs[0] != first.inputs[0]:
            return None
        others = {reader.id for reader, _ in readers.get(Ref(node.id), [])} - {concat.id}
        begin = builder.values(node.inputs[1])
        if others or begin is None or begin.size != 4 or node.outputs[0].shape[3] != depth:
            return None
        start = int(begin.flat[W])
        stretches.append(np.arange(start, start + node.outputs[0].shape[W], dtype=np.int32))
    whole = np.stack(stretches) if int(axis.flat[0]) == H else np.concatenate(stretches)
    return whole.reshape((1,) * (4 - whole.ndim) + whole.shape)
