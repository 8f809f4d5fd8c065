"""Helpers for fusions: nodes in hexconv's own domain, and transferred uses."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.annotations import annotate
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import constant, shape_of
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.quantize import Bounds

DOMAIN = "hexconv"


def insert_custom_op(
    op: str,
    before: ir.Node,
    inputs: Sequence[ir.Value | None],
    result: ir.Value,
    attributes: Mapping[str, Any] | None = None,
    functions: object = None,
) -> ir.Node:
    """A node in hexconv's own domain, inserted at `before`, that computes `result`.

    The new output takes over name, shape, type and readers of `result`.

    Args:
        op: its type, known to the lowerings.
        before: the node before which it is inserted.
        inputs: its inputs.
        result: the value that it replaces.
        attributes: numbers and strings.
        functions: kept in the node's `meta` for the lowering.
    """
    node = ir.node(op, inputs, dict(attributes or {}), domain=DOMAIN)
    node.name = before.name
    if functions is not None:
        annotate(node, functions=functions)
    graph = before.graph
    assert graph is not None
    output, name = node.outputs[0], result.name
    output.shape, output.type = result.shape, result.type
    graph.insert_before(before, node)
    ir.convenience.replace_all_uses_with(result, output, replace_graph_outputs=True)
    result.name = f"{name}/replaced"
    output.name = name
    return node


class Inserter:
    """Inserts ONNX nodes before a node, with known shapes and ranges.

    Args:
        graph: the float graph.
        before: the node before which new ones are inserted.
        observed: ranges by value; new values get that of the value that they are computed from.
    """

    def __init__(
        self, graph: FloatGraph, before: ir.Node, observed: MutableMapping[str, Bounds]
    ) -> None:
        self.graph, self.before, self.observed = graph.graph, before, observed
        self._count = 0

    def const(self, name: str, array: npt.NDArray[Any]) -> ir.Value:
        """An initializer."""
        value = constant(name, np.ascontiguousarray(array))
        self.graph.register_initializer(value)
        return value

    def node(
        self,
        op: str,
        inputs: Sequence[ir.Value | None],
        shape: Sequence[int],
        like: str,
        attributes: Mapping[str, Any] | None = None,
        domain: str = "",
    ) -> ir.Value:
        """One node; its output has the range of the value named `like`."""
        node = ir.node(op, inputs, dict(attributes or {}), domain=domain)
        self._insert(node, [shape], like)
        return node.outputs[0]

    def reshape(self, value: ir.Value, shape: Sequence[int], like: str) -> ir.Value:
        """A Reshape."""
        target = self.const(f"{self.before.name}/to{self._count}", np.asarray(shape, np.int64))
        return self.node("Reshape", [value, target], shape, like)

    def split(self, value: ir.Value, sizes: Sequence[int], axis: int, like: str) -> list[ir.Value]:
        """Consecutive parts of a value: its axes are put in order first."""
        inputs = [value, self.const(f"{self.before.name}/sizes", np.asarray(sizes, np.int64))]
        node = ir.node("Split", inputs, {"axis": axis}, num_outputs=len(sizes))
        annotate(node, in_order=True)
        shape = shape_of(value)
        self._insert(node, [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes], like)
        return list(node.outputs)

    def folded(
        self, value: ir.Value, split: Sequence[int], perm: Sequence[int], channels: int
    ) -> ir.Value:
        """[B,C,T] split to 4 axes, permuted, and its second and third merged to `channels`."""
        like = str(value.name)
        moved = self._moved(value, split, perm, like)
        return self.reshape(moved, (split[0], channels, split[2]), like)

    def unfolded(
        self, value: ir.Value, split: Sequence[int], perm: Sequence[int], result: ir.Value
    ) -> ir.Value:
        """The reverse, to the shape of `result`."""
        like = str(result.name)
        moved = self._moved(value, split, perm, like)
        return self.reshape(moved, shape_of(result), like)

    def _insert(self, node: ir.Node, shapes: Sequence[Sequence[int]], like: str) -> None:
        self._count += 1
        node.name = f"{self.before.name}/{node.op_type.lower()}{self._count}"
        for number, (output, shape) in enumerate(zip(node.outputs, shapes, strict=True)):
            output.name = f"{node.name}/{number if len(shapes) > 1 else 'value'}"
            output.shape, output.type = ir.Shape(shape), self.before.outputs[0].type
            self.observed[output.name] = self.observed[like]
        self.graph.insert_before(self.before, node)

    def _moved(
        self, value: ir.Value, split: Sequence[int], perm: Sequence[int], like: str
    ) -> ir.Value:
        parts = self.reshape(value, split, like)
        shape = [split[axis] for axis in perm]
        return self.node("Transpose", [parts], shape, like, {"perm": list(perm)})


def only_reader(value: ir.Value) -> ir.Node | None:
    """The one node that reads a value; None if there are more, or none."""
    if not read_once(value):
        return None
    return next(iter(value.uses())).node


def remove(*nodes: ir.Node) -> None:
    """Remove nodes that nobody reads any more from the graph, last first."""
    for node in nodes:
        assert node.graph is not None
        node.graph.remove(node, safe=True)
