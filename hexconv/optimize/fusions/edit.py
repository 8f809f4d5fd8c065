"""What fusions are written with: nodes of hexconv's own domain, and values handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

DOMAIN = "hexconv"


def own_node(
    op: str,
    before: ir.Node,
    inputs: Sequence[ir.Value | None],
    result: ir.Value,
    attributes: Mapping[str, Any] | None = None,
    functions: object = None,
) -> ir.Node:
    """A node of hexconv's own that takes the place of `before` and makes `result`.

    The new output takes over name, shape, type and readers of `result`.

    Args:
        op: its type, known to the lowerings.
        before: the node in front of which it goes.
        inputs: its inputs.
        result: the value that it replaces.
        attributes: numbers and strings.
        functions: kept in the node's `meta` for the lowering.
    """
    node = ir.node(op, inputs, dict(attributes or {}), domain=DOMAIN)
    node.name = before.name
    if functions is not None:
        node.meta["functions"] = functions
    graph = before.graph
    assert graph is not None
    output, name = node.outputs[0], result.name
    output.shape, output.type = result.shape, result.type
    graph.insert_before(before, node)
    ir.convenience.replace_all_uses_with(result, output, replace_graph_outputs=True)
    result.name = f"{name}/replaced"
    output.name = name
    return node


def read_once(value: ir.Value) -> bool:
    """Whether exactly one input reads the value, and nothing outside does."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def only_reader(value: ir.Value) -> ir.Node | None:
    """The one node that reads a value; None if there are more, or none."""
    if not read_once(value):
        return None
    return next(iter(value.uses())).node


def remove(*nodes: ir.Node) -> None:
    """Take nodes that nobody reads any more out of the graph, last first."""
    for node in nodes:
        assert node.graph is not None
        node.graph.remove(node, safe=True)
