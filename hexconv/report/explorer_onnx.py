"""The ONNX model beside the executed graph in Model Explorer, and which of their nodes are one."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any

from hexconv.errors import ConfigError
from hexconv.report.explorer import figures, node_data

if TYPE_CHECKING:
    import onnx_ir as ir

    from hexconv.onnx_graph.graph import FloatGraph


def onnx_graph(graph: FloatGraph, name: str) -> dict[str, Any]:
    """The nodes of an ONNX model, in the form that Model Explorer's JSON loader reads.

    Args:
        graph: the model as it was read; a node's id is its name.
        name: of the graph.
    """
    made_by = {output: node for node in graph.nodes for output in node.outputs}
    nodes = [_node(node, made_by) for node in graph.nodes]
    return {"label": name, "graphs": [{"id": name, "nodes": nodes}]}


def _node(node: ir.Node, made_by: Mapping[ir.Value, ir.Node]) -> dict[str, Any]:
    edges = [
        {
            "sourceNodeId": str(made_by[value].name),
            "sourceNodeOutputId": str(value.index()),
            "targetNodeInputId": str(at),
        }
        for at, value in enumerate(node.inputs)
        if value is not None and value in made_by
    ]
    attributes = [
        {"key": str(key), "value": str(value.value)}
        for key, value in node.attributes.items()
        if not hasattr(value.value, "numpy")
    ]
    return {
        "id": str(node.name),
        "label": node.op_type,
        "namespace": "/".join(str(node.name).strip("/").split("/")[:-1]),
        "attrs": [{"key": "name", "value": str(node.name)}, *attributes],
        "incomingEdges": edges,
    }


def _owner(name: str, names: Container[str]) -> str:
    """The ONNX node that a node was made from: its own name, or the longest that begins it.

    A rewrite names what it adds after the node that it replaces: `NODE_2`, `NODE_2_mul`,
    `NODE/image0`.
    """
    while name and name not in names:
        name = name[: max(name.rfind("_"), name.rfind("/"), 0)]
    return name


def sync_navigation(report: Mapping[str, Any], graph: FloatGraph) -> dict[str, Any]:
    """Which executed nodes come from which ONNX node: a file for Model Explorer's sync navigation.

    Args:
        report: with the section `cost`: the right pane.
        graph: the ONNX model: the left pane.

    Raises:
        ConfigError: no node of the report comes from this ONNX model.
    """
    executed: dict[str, list[str]] = {str(node.name): [] for node in graph.nodes}
    for node in report["cost"]["nodes"]:
        owner = _owner(node["onnx_node"], executed)
        if owner:
            executed[owner].append(str(node["id"]))
    entries = [
        {"leftNodeIds": [name], "rightNodeIds": ids} for name, ids in executed.items() if ids
    ]
    if not entries:
        raise ConfigError(
            "the ONNX model is not the one that was converted",
            why="no node of the DSP model comes from one of its nodes",
        )
    return {"mappingEntries": entries, "disableMappingFallback": True}


def onnx_data(
    report: Mapping[str, Any], sync: Mapping[str, Any], name: str
) -> dict[str, dict[str, Any]]:
    """Figures of the ONNX nodes, as node data: the sum of their executed nodes, the worst error.

    Args:
        report: with the section `cost`.
        sync: which executed nodes come from which ONNX node, of `sync_navigation`.
        name: of the ONNX graph.
    """
    found = {}
    for what, values in figures(report).items():
        combine = min if what == "error" else sum
        by_node = {
            entry["leftNodeIds"][0]: [values[key] for key in entry["rightNodeIds"] if key in values]
            for entry in sync["mappingEntries"]
        }
        known = {node: combine(numbers) for node, numbers in by_node.items() if numbers}
        found[what] = node_data(name, what, known)
    return found
