"""Which nodes of the float graph are computed in float: by hand, or because the table says so."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import onnx_ir as ir

from hexconv.errors import ConfigError
from hexconv.lowering.floats import FORMS, OP, WHY
from hexconv.onnx_graph import FloatGraph
from hexconv.op_table import Kind

BY_HAND = "kept in float by hand"
BY_TABLE = "int8 answers it only partly"
KEPT = "Float"
DOMAIN = "hexconv"


def mark(graph: FloatGraph, names: Sequence[str], *, fallback: bool) -> list[ir.Node]:
    """Mark the nodes to keep in float, so that nothing writes them out in others.

    Args:
        graph: as loaded, before anything is decomposed.
        names: of nodes, or of tensors that they make, to keep.
        fallback: keep those as well that int8 answers only partly, where the op table has a
            float form.

    Returns:
        The nodes.

    Raises:
        ConfigError: no node has such a name, or its op has no float form.
    """
    found: dict[ir.Node, str] = {}
    if fallback:
        preferred = _preferred({node.op_type for node in graph.nodes})
        found = {node: BY_TABLE for node in graph.nodes if node.op_type in preferred}
    for name in names:
        found[_named(graph, name)] = BY_HAND
    for node, why in found.items():
        node.meta[WHY] = why
    return list(found)


def check_there(graph: FloatGraph, kept: Sequence[ir.Node]) -> None:
    """Refuse a node kept by hand that rewriting took away.

    Raises:
        ConfigError: naming it.
    """
    for node in kept:
        if node.graph is not graph.graph and node.meta[WHY] == BY_HAND:
            raise ConfigError(
                f"the node '{node.name}' cannot be kept in float",
                why="a rewrite made it one with others",
                todo="leave rewrites out with --without NAME or --optimize none",
            )


def seal(graph: FloatGraph) -> None:
    """Give kept nodes an op of hexconv's own, which no fusion takes into another."""
    for node in graph.nodes:
        if WHY in node.meta:
            node.meta[OP] = node.op_type
            node.op_type, node.domain = KEPT, DOMAIN


def _preferred(ops: set[str]) -> set[str]:
    from hexconv import op_table

    table = op_table.load()
    return {
        op for op in ops & set(FORMS)
        if op in table and table[op].int8 != "yes" and Kind.FLOAT in table[op].kinds
    }  # fmt: skip


def _named(graph: FloatGraph, name: str) -> ir.Node:
    nodes = {str(node.name): node for node in graph.nodes}
    makers = {str(value.name): node for node in graph.nodes for value in node.outputs}
    node = nodes.get(name) or makers.get(name)
    if node is None:
        near = get_close_matches(name, [*nodes, *makers], 3, 0.5)
        listed = " or ".join(f"'{item}'" for item in near)
        raise ConfigError(
            f"there is no node '{name}' to keep in float",
            why="constants are folded, and what exporters write as several nodes is one",
            todo=(f"did you mean {listed}? " if near else "")
            + "`hexconv check --all` lists the nodes",
        )
    if node.domain or node.op_type not in FORMS:
        raise ConfigError(
            f"the node '{node.name}' cannot be kept in float",
            why=f"the library has no float form of {node.op_type} that is known to be right",
            todo=f"those with one: {', '.join(sorted(FORMS))}",
        )
    return node
