"""Walking and renaming what an ONNX file holds, inner graphs included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx


def inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs in a node's attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def rename(graph: onnx.GraphProto, names: Mapping[str, str], *, computed: bool) -> None:
    """Read other names in all nodes, in place.

    Args:
        graph: changed in place; its own inputs and outputs keep their names.
        names: the new name by the old one.
        computed: whether nodes compute these values, and are to compute them under the new names.
    """
    for node in graph.node:
        for place in (node.input, node.output) if computed else (node.input,):
            for position, name in enumerate(place):
                place[position] = names.get(name, name)
        for inner in inner_graphs(node):
            rename(inner, names, computed=computed)
            for value in inner.output:
                value.name = names.get(value.name, value.name)
    for value in graph.value_info if computed else ():
        value.name = names.get(value.name, value.name)
    for annotation in graph.quantization_annotation:
        annotation.tensor_name = names.get(annotation.tensor_name, annotation.tensor_name)
