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
    return tuple(found for value in graph.outputs for found in _of(value, original))


def _of(output: ir.Value, original: Collection[str]) -> Iterator[LastFunction]:
    *_, source = moved_from(output)
    node = source.producer()
    if node is None or node.domain or node.op_type not in LAST or node.inputs[0] is None:
        return
    tensor = node.inputs[0]
    if tensor.name in original and not tensor.is_graph_input():
        yield LastFunction(str(output.name), node.op_type, str(tensor.name))
