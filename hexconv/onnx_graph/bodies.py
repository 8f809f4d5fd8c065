"""The inner graphs of control flow: found, and moved into the graph around them."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.errors import ModelError
from hexconv.onnx_graph.builder import FloatBuilder


def body_of(node: ir.Node, name: str) -> ir.Graph:
    """The graph in an attribute; nothing has checked yet that there is one.

    Raises:
        ModelError: there is none.
    """
    attribute = node.attributes.get(name)
    if attribute is None or attribute.type != ir.AttributeType.GRAPH:
        raise invalid(node, f"it has no graph '{name}'")
    return attribute.as_graph()


def invalid(node: ir.Node, why: str) -> ModelError:
    """The error for control flow whose bodies do not fit it."""
    where = f"node '{node.name}' ({node.op_type})"
    return ModelError("the ONNX model is invalid", where=where, why=why)


def lifted(inner: ir.Graph, node: ir.Node, builder: FloatBuilder) -> list[ir.Node]:
    """The nodes of an inner graph under fresh names, moved in front of `node`."""
    inner.outputs.clear()
    for value in list(inner.initializers.values()):
        inner.initializers.pop(str(value.name))
        value.name = builder.fresh(str(value.name))
        builder.graph.register_initializer(value)
    nodes = list(inner)
    inner.remove(nodes)
    for moved in nodes:
        moved.name = builder.fresh_node(moved.name or moved.op_type)
        for value in moved.outputs:
            if value.name:
                value.name = builder.fresh(value.name)
    builder.graph.insert_before(node, nodes)
    return nodes
