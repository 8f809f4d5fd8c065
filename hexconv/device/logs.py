"""The library's log with node names instead of node numbers."""

from __future__ import annotations

import re
from functools import partial

from hexconv.device.job import NODE_BASE
from hexconv.nnlib.graph import Graph

_HEX_ID = re.compile(r"\b(?:0x)?(5[0-9a-f]{6})\b")
_DECIMAL_ID = re.compile(r"\b(8[3-9]\d{6})\b")
_FAILED_NODE = re.compile(r"failed on node id=(?:0x)?(5[0-9a-f]{6})\b")
_NOISE = ("couldn't acquire VTCM",)


def node_label(graph: Graph, node_id: int) -> str:
    """`'name' (op)` of the node or const with id `node_id` in `graph`."""
    node = graph.node_by_id().get(node_id)
    if node:
        return f"'{node.name}' ({node.op})"
    const = graph.const_by_id().get(node_id)
    return f"'{const.name}' (Const)" if const else f"node {node_id}"


def _named(graph: Graph, base: int, match: re.Match[str]) -> str:
    node_id = int(match.group(1), base) - NODE_BASE
    known = node_id in graph.node_by_id() or node_id in graph.const_by_id()
    return node_label(graph, node_id) if known else match.group(0)


def with_names(graph: Graph, text: str) -> str:
    """`text` with each number of a node of `graph` replaced by the node's label."""
    text = _HEX_ID.sub(partial(_named, graph, 16), text)
    return _DECIMAL_ID.sub(partial(_named, graph, 10), text)


def readable(graph: Graph, log: str) -> str:
    """The library's log with names, without blank lines and messages common to every v60 run."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    kept = [line for line in lines if not any(noise in line for noise in _NOISE)]
    return with_names(graph, "\n".join(kept))


def failed_node(log: str) -> int | None:
    """The id (in the graph) of the node whose execution failed according to the log."""
    match = _FAILED_NODE.search(log)
    return int(match.group(1), 16) - NODE_BASE if match else None
