"""Nodes that the user keeps in float: found by name, and protected from every rewrite."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from hexconv.annotations import annotate, notes_of
from hexconv.errors import ConfigError
from hexconv.lowering.floats import FORMS
from hexconv.names import did_you_mean
from hexconv.onnx_graph import FloatGraph

BY_HAND = "kept in float by the user"
KEPT = "Float"
DOMAIN = "hexconv"


def annotate_float(graph: FloatGraph, names: Sequence[str]) -> list[ir.Node]:
    """Annotate the nodes to keep in float, so that they are not decomposed.

    Args:
        graph: as loaded, before anything is decomposed.
        names: of nodes, or of tensors that they compute, to keep.

    Returns:
        The nodes.

    Raises:
        ConfigError: no node has such a name, or its op has no float form.
    """
    found = dict.fromkeys(_named(graph, name) for name in names)
    for node in found:
        annotate(node, float_reason=BY_HAND)
    return list(found)


def check_present(graph: FloatGraph, kept: Sequence[ir.Node]) -> None:
    """Raise for a protected node that a rewrite removed.

    Raises:
        ConfigError: naming it.
    """
    for node in kept:
        if node.graph is not graph.graph:
            raise ConfigError(
                f"the node '{node.name}' cannot be kept in float",
                why="a rewrite merged it with other nodes",
                hint="disable rewrites with --without NAME or --optimize none",
            )


def protect(graph: FloatGraph) -> None:
    """Give protected nodes an op of hexconv's own, which no fusion matches."""
    for node in graph.nodes:
        if notes_of(node).float_reason:
            annotate(node, onnx_op=node.op_type)
            node.op_type, node.domain = KEPT, DOMAIN


def _named(graph: FloatGraph, name: str) -> ir.Node:
    nodes = {str(node.name): node for node in graph.nodes}
    makers = {str(value.name): node for node in graph.nodes for value in node.outputs}
    node = nodes.get(name) or makers.get(name)
    if node is None:
        raise ConfigError(
            f"there is no node '{name}' to keep in float",
            why="constants are folded, and exporters' patterns of several nodes are merged",
            hint=f"{did_you_mean(name, [*nodes, *makers], 3)}`hexconv check --all` lists the nodes",
        )
    if node.domain or node.op_type not in FORMS:
        raise ConfigError(
            f"the node '{node.name}' cannot be kept in float",
            why=f"the library has no correct float form of {node.op_type}",
            hint=f"those with one: {', '.join(sorted(FORMS))}",
        )
    return node
