"""Tensors without elements: exporters leave them where a list of states or parts is empty.

Nothing needs to be computed of them, so they are constants; a Concat with other parts drops them.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.errors import ModelError, UnsupportedOpError
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of


def settle(node: ir.Node, builder: FloatBuilder) -> None:
    """Make constants of a node's outputs that have no elements; the node goes if it has no other.

    Raises:
        UnsupportedOpError: the model's output is empty.
    """
    empty = [value for value in node.outputs if value.name and 0 in shape_of(value)]
    for value in empty:
        if value.is_graph_output():
            raise UnsupportedOpError(
                f"'{value.name}' is empty: its shape is {list(shape_of(value))}",
                node=str(node.name),
                op=node.op_type,
                hint="check the input shapes; if nobody needs the output, name the others with "
                "--outputs",
            )
    if empty:
        builder.at(node)
        for value in empty:
            dtype = ir.DataType.FLOAT if value.dtype is None else value.dtype
            new = builder.const(np.zeros(shape_of(value), dtype.numpy()), str(value.name))
            builder.transfer_uses(value, new, node)
        _without(empty, node, builder)


def check_outputs(graph: ir.Graph) -> None:
    """Raise for outputs that are empty constants of the file.

    Raises:
        ModelError: one is; `settle` has found those that a node computes.
    """
    for value in graph.outputs:
        node = value.producer()
        source = node.inputs[0] if node is not None and node.op_type == "Identity" else value
        array = array_of(source)
        if array is not None and not array.size:
            raise ModelError(
                f"'{value.name}' is empty: its shape is {list(array.shape)}",
                why="an output that is a constant without elements has nothing to return",
                hint="leave it out of the outputs of the graph",
            )


def _without(empty: list[ir.Value], node: ir.Node, builder: FloatBuilder) -> None:
    """The node without its empty outputs: removed, or a Split into the parts that remain."""
    rest = [value for value in node.outputs if value not in empty]
    if not any(value.uses() or value.is_graph_output() for value in rest):
        builder.remove(node)
    elif node.op_type == "Split" and not node.domain:
        sizes = array_of(node.inputs[1])
        assert sizes is not None
        attrs = {"axis": node.attributes["axis"].as_int() if "axis" in node.attributes else 0}
        parts = builder.ops(
            "Split",
            [node.inputs[0], sizes[sizes > 0]],
            attrs,
            outputs=len(rest),
            name=node.name or "",
        )
        for old, new in zip(rest, parts, strict=True):
            builder.transfer_uses(old, new, node)
        builder.remove(node)
