"""A report as files of Google's Model Explorer: the executed graph, and figures to color it by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hexconv.errors import ConfigError
from hexconv.report.document import accuracy_rows, figures_of

GRADIENT = [{"stop": 0.0, "bgColor": "#ffffff"}, {"stop": 1.0, "bgColor": "#d9534f"}]
WORST_FIRST = [{"stop": 0.0, "bgColor": "#d9534f"}, {"stop": 1.0, "bgColor": "#ffffff"}]
"""Of figures of which less is worse: SQNR."""
SHOWN = {
    "packets": ("packets", GRADIENT),
    "error": ("own error, dB SQNR", WORST_FIRST),
    "noise": ("share of the outputs' noise, %", GRADIENT),
}
"""How Model Explorer shows each of the figures."""


def explorer_graph(report: Mapping[str, Any]) -> dict[str, Any]:
    """The executed graph, in the form that Model Explorer's JSON loader reads.

    Nodes are grouped by the path in their ONNX node's name.

    Args:
        report: with the section `cost`.

    Raises:
        ConfigError: it has none.
    """
    cost = report.get("cost")
    if cost is None:
        raise ConfigError("the report has no nodes to show", hint="give one with the section cost")
    nodes = [_node(node) for node in cost["nodes"]]
    name = str(report.get("name") or "model")
    return {"label": name, "graphs": [{"id": name, "nodes": nodes}]}


def explorer_data(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Figures of the nodes in the form of Model Explorer's node data, by what they are.

    Args:
        report: with the section `cost`; the error of each node with that of `verify` as well, and
            its share of the outputs' noise with that of `verify --explain`.
    """
    graph = str(report.get("name") or "model")
    return {name: node_data(graph, name, found) for name, found in figures(report).items()}


def figures(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Each of the figures that the report has, as it is shown: by the id of the executed node."""
    cost = report.get("cost") or {"nodes": ()}
    packets = {str(n["id"]): round(n["packets"]) for n in cost["nodes"] if n["packets"] is not None}
    found = {"packets": packets, "error": dict(_errors(report)), "noise": dict(_noise(report))}
    return {name: values for name, values in found.items() if values or name == "packets"}


def _noise(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """(id, percent of the outputs' noise) of each tensor whose node `verify --explain` measured."""
    ids = {node["name"]: str(node["id"]) for node in (report.get("cost") or {"nodes": ()})["nodes"]}
    for row in (report.get("explanation") or {}).get("tensors", ()):
        if row["tensor"] in ids:
            yield ids[row["tensor"]], round(100.0 * row["share"], 3)


def _errors(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """(id, SQNR of the node alone) of each node that was compared."""
    ids = {node["name"]: str(node["id"]) for node in report["cost"]["nodes"]}
    for row in accuracy_rows(report, "layers"):
        if row["name"] in ids:
            yield ids[row["name"]], round(figures_of(row)["own"]["sqnr"], 2)


def node_data(graph: str, name: str, values: Mapping[str, float]) -> dict[str, Any]:
    """One of `figures` as a file of node data, for the graph with this id."""
    title, gradient = SHOWN[name]
    results = {key: {"value": value} for key, value in values.items()}
    return {graph: {"name": title, "results": results, "gradient": gradient}}


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    path = node["onnx_node"].strip("/").split("/")
    facts = {
        "name": node["name"],
        "ONNX node": node["onnx_node"],
        "packets": "unknown" if node["packets"] is None else f"{node['packets']:,.0f}",
        "milliseconds": f"{node['milliseconds_low']:.4g} to {node['milliseconds_high']:.4g}",
        "bytes moved": f"{node['moved']:,}",
        "basis": node["basis"],
    }
    return {
        "id": str(node["id"]),
        "label": node["op"],
        "namespace": "/".join(path[:-1]),
        "attrs": [{"key": key, "value": value} for key, value in facts.items() if value],
        "incomingEdges": [
            {"sourceNodeId": str(source), "sourceNodeOutputId": "0", "targetNodeInputId": str(at)}
            for at, source in enumerate(node["inputs"])
        ],
    }
