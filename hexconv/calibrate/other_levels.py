"""Calibrate what a graph of the same model computes before rewriting, in the same inference.

Rewriting removes tensors, which other levels of optimization and QDQ models need the ranges of. A
range file that has them serves all.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph


def with_values_of(graph: FloatGraph, others: Iterable[FloatGraph]) -> FloatGraph:
    """A copy of a graph that computes, beside its own values, those that only others have.

    Values of one name are the same in all of them, and are computed once.

    Args:
        graph: it is not changed.
        others: the same model, rewritten in another way.
    """
    joined = graph.copied()
    for other in others:
        _add(joined, other)
    return joined


def _add(graph: FloatGraph, other: FloatGraph) -> None:
    """Add the nodes that compute what a graph lacks."""
    values = {name: v for name, v in graph.values().items() if not v.is_initializer()}
    taken, nodes = set(graph.values()), {str(node.name) for node in graph.nodes}
    for node in _lacking(other, values):
        inputs = [None if v is None else _input(v, values, graph, taken) for v in node.inputs]
        outputs = [ir.Value(type=v.type, shape=v.shape) for v in node.outputs]
        for made, value in zip(outputs, node.outputs, strict=True):
            name = str(value.name)
            made.name = _free(name, taken)
            values.setdefault(name, made)
        graph.graph.append(
            ir.Node(
                node.domain,
                node.op_type,
                inputs,
                node.attributes.values(),
                outputs=outputs,
                name=_free(str(node.name), nodes),
            )
        )


def _lacking(other: FloatGraph, values: Iterable[str]) -> list[ir.Node]:
    """The nodes of another graph that compute float values that are not among `values`."""
    present = set(values)
    wanted = set(other.computed_values()) - present
    nodes = []
    for node in reversed(other.nodes):
        if any(value.name in wanted for value in node.outputs):
            nodes.append(node)
            read = [v for v in node.inputs if v is not None and not v.is_initializer()]
            wanted.update(str(v.name) for v in read if v.name not in present)
    return nodes[::-1]


def _input(
    value: ir.Value, values: dict[str, ir.Value], graph: FloatGraph, taken: set[str]
) -> ir.Value:
    """What a node that is added reads: a value of the same name, or a constant of its own."""
    if not value.is_initializer():
        return values[str(value.name)]
    name = _free(str(value.name), taken)
    const = ir.Value(name=name, type=value.type, shape=value.shape, const_value=value.const_value)
    graph.graph.register_initializer(const)
    return const


def _free(name: str, taken: set[str]) -> str:
    """A name that nothing in the graph has."""
    while name in taken:
        name += "/again"
    taken.add(name)
    return name
