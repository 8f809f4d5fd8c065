"""Outputs that a softmax or sigmoid computes last: in float, the CPU can do that as well."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from hexconv.onnx_graph.selections import moved_from

LAST = frozenset(("LogSoftmax", "Sigmoid", "Softmax"))


@dataclass(frozen=True)
class LastFunction:
    """What computes an output from a tensor that has no probabilities yet.

    Attributes:
        output: its name.
        op: Softmax, LogSoftmax or Sigmoid.
        tensor: what that is computed of, by its name in the file.
    """

    output: str
    op: str
    tensor: str


def last_functions(graph: ir.Graph, original: Collection[str]) -> tuple[LastFunction, ...]:
    """The outputs that such a function computes last, however they are reshaped then.

    Args:
        graph: in canonical form.
        original: names of the values that the file has: a model can be cut at these.
    """
    found = (_of(*pair, original) for pair in last_nodes(graph))
    return tuple(item for item in found if item is not None)


def last_nodes(graph: ir.Graph) -> Iterator[tuple[ir.Value, ir.Node]]:
    """Outputs, and the nodes of such functions that compute them."""
    for output in graph.outputs:
        *_, source = moved_from(output)
        node = source.producer()
        if node is not None and not node.domain and node.op_type in LAST:
            yield output, node


def _of(output: ir.Value, node: ir.Node, original: Collection[str]) -> LastFunction | None:
    tensor = node.inputs[0]
    if tensor is None or tensor.name not in original or tensor.is_graph_input():
        return None
    return LastFunction(str(output.name), node.op_type, str(tensor.name))
