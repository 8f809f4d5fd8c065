"""Cleanup of a graph: dead nodes, duplicate initializers, node names."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx_ir as ir

from hexconv.errors import ModelError


def check_wiring(graph: ir.Graph, label: str) -> None:
    """Check that each value is computed once, under its own name, before it is read.

    Nodes that are merely out of order are sorted.

    Raises:
        ModelError: a cycle, a name given twice, or a reader of something that does not exist.
    """
    try:
        graph.sort()
    except ValueError as error:
        raise ModelError(
            "the nodes of the model form a cycle", where=label, why=_cycle(graph)
        ) from error
    known: dict[str, str] = {}
    sources = [(str(v.name), "an input") for v in graph.inputs]
    sources += [(n, "an initializer") for n in graph.initializers if n not in dict(sources)]
    for node in graph:
        what = f"an output of node '{node.name}' ({node.op_type})"
        sources += [(value.name, what) for value in node.outputs if value.name]
    for name, what in sources:
        if name in known:
            raise ModelError(f"'{name}' is both {known[name]} and {what}", where=label)
        known[name] = what
    for node in graph:
        for value in node.inputs:
            if value is not None and str(value.name) not in known:
                raise ModelError(
                    f"'{value.name}' is read, but nothing computes it",
                    where=f"node '{node.name}' ({node.op_type})",
                )
    for value in graph.outputs:
        if str(value.name) not in known:
            raise ModelError(f"nothing computes the output '{value.name}'", where=label)


def check_readers(function: ir.Function) -> None:
    """Check that branches in a function read what it computes.

    Raises:
        ModelError: one reads something that does not exist.
    """
    for node in function.all_nodes():
        for value in node.inputs:
            if value is not None and not _exists(value):
                raise ModelError(
                    f"'{value.name}' is read, but nothing computes it",
                    where=f"node '{node.name}' ({node.op_type}) in function '{function.name}'",
                )


def _exists(value: ir.Value) -> bool:
    return value.producer() is not None or value.is_graph_input() or value.is_initializer()


def name_nodes(graph: ir.Graph) -> None:
    """Give every node a unique name; a duplicate gets a number."""
    taken: set[str] = set()
    counters: dict[str, int] = defaultdict(int)
    for node in graph:
        stem = node.name or (node.outputs[0].name if node.outputs else "") or node.op_type
        name = stem
        while name in taken:
            counters[stem] += 1
            name = f"{stem}_{counters[stem]}"
        taken.add(name)
        node.name = name


def remove_dead(graph: ir.Graph) -> None:
    """Remove nodes that no output needs, and unused initializers."""
    for node in reversed(list(graph)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)
            detach_bodies(node)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            graph.initializers.pop(name)


def detach_bodies(node: ir.Node) -> None:
    """Let the inner graphs of a removed node (branches, loop bodies) read nothing any more.

    Their nodes would otherwise count as readers of values of the graph around them.
    """
    for attribute in node.attributes.values():
        for body in attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else ():
            _detach_all(body)
        if attribute.type == ir.AttributeType.GRAPH:
            _detach_all(attribute.as_graph())


def _detach_all(body: ir.Graph) -> None:
    for node in body.all_nodes():
        for position in range(len(node.inputs)):
            node.replace_input_with(position, None)


def share_initializers(graph: ir.Graph) -> None:
    """Let readers of bit-identical initializers read one of them.

    Only tensors with equal type, shape and first bytes are compared in full.
    """
    alike: dict[object, list[ir.Value]] = defaultdict(list)
    for value in list(graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or tensor.dtype == ir.DataType.STRING:
            continue
        array = tensor.numpy()
        head = array.reshape(-1)[:16] if array.flags.c_contiguous else array.flat[:16]
        key = (tensor.dtype, array.shape, np.asarray(head).tobytes())
        same = next((v for v in alike[key] if _equal(v, array)), None)
        if same is None or value.is_graph_output():
            alike[key].append(value)
            continue
        ir.convenience.replace_all_uses_with(value, same)
        graph.initializers.pop(str(value.name))


def _equal(value: ir.Value, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bool:
    assert value.const_value is not None
    other = value.const_value.numpy()
    if array.dtype.kind == "f" and array.dtype.itemsize == 4:
        return bool(np.array_equal(other.view(np.int32), array.view(np.int32)))
    return other.tobytes() == array.tobytes()


def _cycle(graph: ir.Graph) -> str:
    """The nodes of one cycle, found by walking backwards from node to node."""
    import networkx as nx

    wires = nx.DiGraph()
    for node in graph:
        for before in node.predecessors():
            wires.add_edge(str(before.name or before.op_type), str(node.name or node.op_type))
    try:
        edges = nx.find_cycle(wires)
    except nx.NetworkXNoCycle:
        return "a subgraph reads what is computed after it"
    return " -> ".join(f"'{edge[0]}'" for edge in [*edges, edges[0]])
