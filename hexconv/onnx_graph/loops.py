"""Loop and Scan with a known number of iterations: their nodes once for each of them.

The DSP runs a fixed list of nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph.bodies import body_of, invalid, lifted
from hexconv.onnx_graph.builder import OPSET, FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.cleanup import detach_bodies

MOST_NODES = 20_000
"""Of an unrolled loop."""
MOST_IN_ALL = 100_000
"""Of the graph with it: loops inside of loops multiply."""
PASSED_ON = ("Identity", "Cast")
"""Ops behind which a condition is what it was."""


def unrolled(node: ir.Node, builder: FloatBuilder) -> list[ir.Node]:
    """The nodes that compute what a Loop returns, in front of it; the Loop is removed.

    Raises:
        UnsupportedOpError: how often it runs is decided while the model runs, or it is too often.
        ModelError: its body is invalid.
    """
    body = body_of(node, "body")
    _check_counts(node, body, extra_inputs=2, extra_outputs=1)
    _check_carried(node, len(node.inputs) - 2)
    loop = _Unrolling(node, body, builder, list(node.inputs[2:]), returned=1)
    for number in range(_iterations(node, body)):
        loop.add([loop.constant(number), loop.constant(True), *loop.carried])
    zeros = [0] * len(loop.collected)
    return loop.finish(zeros, zeros)


def unrolled_scan(node: ir.Node, builder: FloatBuilder) -> list[ir.Node]:
    """The same for a Scan, which runs once for each slice of its last inputs.

    Raises:
        UnsupportedOpError: there are too many slices, or it is a Scan of opset 8.
        ModelError: its body is invalid.
    """
    body = body_of(node, "body")
    if len(node.inputs) == len(body.inputs) + 1:
        raise _unsupported(node, "a Scan of opset 8, which has lengths of sequences")
    _check_counts(node, body)
    count = len(node.inputs) - node.attributes.get_int("num_scan_inputs", 0)
    _check_carried(node, count)
    scanned, collected = node.inputs[count:], len(node.outputs) - count
    axes = _listed(node, "scan_input_axes", len(scanned))
    backwards = _listed(node, "scan_input_directions", len(scanned))
    length = _length(node, body, scanned, axes)
    loop = _Unrolling(node, body, builder, list(node.inputs[:count]))
    for number in range(length):
        places = [length - 1 - number if back else number for back in backwards]
        slices = [
            loop.made("Gather", [value, loop.constant(place)], {"axis": axis})
            for value, place, axis in zip(scanned, places, axes, strict=True)
        ]
        loop.add([*loop.carried, *slices])
    return loop.finish(
        _listed(node, "scan_output_axes", collected),
        _listed(node, "scan_output_directions", collected),
    )


class _Unrolling:
    """The iterations of a Loop or Scan, one after the other in front of it.

    Args:
        node: the Loop or Scan.
        body: its body.
        builder: of the graph around it.
        carried: what the first iteration gets.
        returned: outputs of the body in front of those that are carried.
    """

    def __init__(
        self,
        node: ir.Node,
        body: ir.Graph,
        builder: FloatBuilder,
        carried: list[ir.Value | None],
        returned: int = 0,
    ) -> None:
        self.carried = carried
        self.collected: list[list[ir.Value | None]] = [[] for _ in node.outputs[len(carried) :]]
        self._node, self._body, self._builder, self._returned = node, body, builder, returned
        self._nodes: list[ir.Node] = []

    def constant(self, number: int | bool) -> ir.Value:
        """A number: int64, or bool."""
        return self._builder.at(self._node).const(np.asarray(number))

    def made(self, op: str, inputs: Sequence[ir.Value | None], attrs: dict[str, Any]) -> ir.Value:
        """A new node in front of the loop."""
        item = ir.node(op, inputs, attrs, version=OPSET)
        item.name = self._builder.fresh_node(str(self._node.name))
        item.outputs[0].name = self._builder.fresh(f"{self._node.name}_{op.lower()}")
        self._builder.graph.insert_before(self._node, item)
        self._nodes.append(item)
        return item.outputs[0]

    def add(self, given: list[ir.Value | None]) -> None:
        """One more iteration, whose body gets `given`."""
        copy = self._body.clone(allow_outer_scope_values=True)
        for own, value in zip(copy.inputs, given, strict=True):
            if value is None:
                raise invalid(self._node, "an input that its body reads is missing")
            ir.convenience.replace_all_uses_with(own, value, replace_graph_outputs=True)
        results: list[ir.Value | None] = list(copy.outputs)
        self._nodes += lifted(copy, self._node, self._builder)
        end = self._returned + len(self.carried)
        self.carried = results[self._returned : end]
        for kept, result in zip(self.collected, results[end:], strict=True):
            kept.append(result)

    def finish(self, axes: Sequence[int], backwards: Sequence[int]) -> list[ir.Node]:
        """The nodes of all iterations; the loop's readers read what they return.

        Args:
            axes: along which the results of all iterations are stacked.
            backwards: whether the last one comes first.
        """
        results = [*self.carried, *map(self._stacked, self.collected, axes, backwards)]
        node, builder = self._node, self._builder.at(self._node)
        for old, new in zip(node.outputs, results, strict=True):
            if new is not None:
                builder.transfer_uses(old, new, node)
        builder.remove(node)
        detach_bodies(node)
        return self._nodes

    def _stacked(self, values: list[ir.Value | None], axis: int, backwards: int) -> ir.Value:
        if not values:
            what = f"a {self._node.op_type} of no iterations that returns what they collect"
            raise _unsupported(self._node, what)
        axes = self._builder.at(self._node).const(np.array([axis]))
        rows = [self.made("Unsqueeze", [value, axes], {}) for value in values]
        return self.made("Concat", rows[::-1] if backwards else rows, {"axis": axis})


def _listed(node: ir.Node, name: str, count: int) -> Sequence[int]:
    """A number for each of some tensors: 0 by default."""
    numbers = node.attributes.get_ints(name, [0] * count)
    if len(numbers) != count:
        raise invalid(node, f"{name} has {len(numbers)} numbers, for {count} tensors")
    return numbers


def _length(
    node: ir.Node, body: ir.Graph, scanned: Sequence[ir.Value | None], axes: Sequence[int]
) -> int:
    """How many slices a Scan reads."""
    shapes = [shape_of(value) for value in scanned]
    if any(not -len(shape) <= axis < len(shape) for shape, axis in zip(shapes, axes, strict=True)):
        raise invalid(node, f"scan_input_axes {list(axes)} of inputs of shape {shapes}")
    lengths = {shape[axis] for shape, axis in zip(shapes, axes, strict=True)}
    if len(lengths) != 1:
        raise invalid(node, f"its inputs have {sorted(lengths)} slices")
    (length,) = lengths
    _check_size(node, body, length)
    return length


def _iterations(node: ir.Node, body: ir.Graph) -> int:
    """How often the loop runs.

    Raises:
        UnsupportedOpError: no constant says so, or it is too often.
    """
    limit, condition = (array_of(value) for value in node.inputs[:2])
    if node.inputs[1] is not None:
        if condition is None or condition.size != 1:
            raise _unsupported(node, "a Loop with a condition that is computed")
        if not condition.item():
            return 0
    if not _stays_true(body):
        raise _unsupported(node, "a Loop whose iterations decide whether it goes on")
    if limit is None or limit.size != 1:
        raise _unsupported(node, "a Loop whose number of iterations is computed")
    count = max(int(limit.item()), 0)
    _check_size(node, body, count)
    return count


def _stays_true(body: ir.Graph) -> bool:
    """Whether the condition that the body returns is the one that it gets, or a constant."""
    value: ir.Value | None = body.outputs[0]
    while value is not None and value is not body.inputs[1]:
        array = ir.convenience.get_const_tensor(value)
        if array is not None:
            return array.size == 1 and bool(array.numpy().item())
        producer = value.producer()
        if producer is None or producer.op_type not in PASSED_ON:
            return False
        value = producer.inputs[0]
    return value is not None


def _check_counts(
    node: ir.Node, body: ir.Graph, *, extra_inputs: int = 0, extra_outputs: int = 0
) -> None:
    """Raise for a body that does not fit the node."""
    if len(body.inputs) != len(node.inputs) or len(node.inputs) < extra_inputs:
        raise invalid(node, f"its body has {len(body.inputs)} inputs, the node {len(node.inputs)}")
    if len(body.outputs) != len(node.outputs) + extra_outputs:
        raise invalid(
            node, f"its body has {len(body.outputs)} outputs, the node {len(node.outputs)}"
        )


def _check_carried(node: ir.Node, count: int) -> None:
    """Raise where fewer values are returned than are carried."""
    if not 0 <= count <= len(node.outputs):
        raise invalid(node, f"it has {len(node.outputs)} outputs for {count} carried values")


def _check_size(node: ir.Node, body: ir.Graph, count: int) -> None:
    """Raise where the unrolled nodes are too many."""
    nodes = count * max(len(body), 1)
    around = 0 if node.graph is None else len(node.graph)
    if nodes > MOST_NODES or around + nodes > MOST_IN_ALL:
        raise _unsupported(node, f"a {node.op_type} of {count} iterations of {len(body)} nodes")


def _unsupported(node: ir.Node, what: str) -> UnsupportedOpError:
    return UnsupportedOpError(
        what,
        node=str(node.name),
        op=node.op_type,
        why=f"the DSP runs a fixed list of nodes, of which a loop may have {MOST_NODES}",
        hint="export the model without control flow (fixed sizes, unrolled loops)",
    )
