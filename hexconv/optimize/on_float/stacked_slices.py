"""Parts of a product that were first stacked: slices of its channels.

torch's MultiheadAttention projects to Q, K and V at once, makes the three a separate axis,
moves it to the front and takes each by its index. No data has to move for that: each is a slice of
the channels, which `cuts_into_products` makes a separate product. In a batch the heads are moved
anyway, all three at once, so that the stack is the cheaper form.
"""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.optimize.on_float.slices_and_concats import SliceCut
from hexconv.optimize.registry import Stage, rewrite

ROWS = 1
"""How many axes of rows there are, beside those of size 1."""


@rewrite(Stage.FLOAT)
def stacked_slices(graph: FloatGraph) -> int:
    """An index along an axis that was split from the channels and moved is a slice of them."""
    builder = FloatBuilder(graph.graph)
    count = 0
    for node in graph.nodes:
        cut = _cut(node)
        if cut is None:
            continue
        builder.at(node)
        bounds = [np.array([number], np.int64) for number in (cut.start, cut.start + cut.size)]
        part = builder.op("Slice", [cut.source, *bounds, np.array([cut.axis], np.int64)])
        shape = shape_of(node.outputs[0])
        if shape_of(part) != shape:
            part = builder.op("Reshape", [part, np.array(shape, np.int64)])
        builder.replace(node, [part])
        count += 1
    if count:
        remove_dead(graph.graph)
    return count


def _cut(node: ir.Node) -> SliceCut | None:
    """The channels, on the last axis, that a Gather by one index takes; None if it takes others."""
    index = array_of(node.inputs[1]) if node.op_type == "Gather" and not node.domain else None
    value = node.inputs[0] if index is not None else None
    if index is None or value is None or index.size != 1:
        return None
    attr, shape = node.attributes.get("axis"), shape_of(value)
    axis = (int(attr.as_int()) if attr is not None else 0) % len(shape)
    if shape[axis] == 1:
        return None
    # The source axis of each axis of the stack; axes of size 1 have none.
    order = list(range(len(_sizes(shape))))
    stack = len(_sizes(shape[:axis]))
    while (maker := value.producer()) is not None and maker.op_type in ("Reshape", "Transpose"):
        source = maker.inputs[0]
        assert source is not None
        before, after = _sizes(shape_of(source)), _sizes(shape_of(value))
        if maker.op_type == "Transpose":
            turn = _turn(maker, shape_of(source))
            order = [turn[place] for place in order]
        elif before != after:
            own = order.pop(stack)
            kept = order == sorted(order) and own == ROWS
            parted = len(before) == ROWS + 1 and before[:ROWS] == after[:ROWS]
            parted = parted and shape_of(source)[-1] == before[-1]
            return _channels(source, after, int(index.flat[0])) if kept and parted else None
        value = source
    return None


def _channels(source: ir.Value, parted: list[int], index: int) -> SliceCut:
    size = prod(parted[ROWS + 1 :])
    return SliceCut(source, len(shape_of(source)) - 1, index % parted[ROWS] * size, size)


def _sizes(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def _turn(transpose: ir.Node, shape: tuple[int, ...]) -> list[int]:
    """A permutation of the axes that are not of size 1."""
    attr = transpose.attributes.get("perm")
    perm = list(attr.as_ints()) if attr is not None else list(range(len(shape)))[::-1]
    home = {axis: place for place, axis in enumerate(a for a, s in enumerate(shape) if s != 1)}
    return [home[axis] for axis in perm if axis in home]
