"""Loop and Scan whose iterations are known: their nodes once for each of them.

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
from hexconv.onnx_graph.evaluate import RANDOM

MOST_NODES = 20_000
"""Of an unrolled loop."""
MOST_IN_ALL = 100_000
"""Of the graph with it: loops inside of loops multiply."""
SIZES = ("Shape", "Size")
"""Ops whose results depend on no data."""
_DONE = "hexconv.iterations"


def unrolled(node: ir.Node, builder: FloatBuilder) -> list[ir.Node]:
    """The nodes of the next iteration, in front of a Loop, and the Loop again; at its end, none.

    Whether it goes on is known once the nodes of an iteration are folded, so one is made at a time.
    In between the Loop reads what is carried, then what the iterations before have collected.

    Raises:
        UnsupportedOpError: how often it runs is decided while the model runs, or it is too often.
        ModelError: its body is invalid.
    """
    body = body_of(node, "body")
    done: int = node.meta.get(_DONE, 0)
    if not done:
        _check_counts(node, body, extra_inputs=2, extra_outputs=1)
        _check_carried(node, len(body.inputs) - 2)
        _check_decided(node, body)
    end = len(body.inputs)
    loop = _Unrolling(node, body, builder, list(node.inputs[2:end]), returned=1)
    if not _goes_on(node, body, done):
        width = len(loop.collected)
        loop.collected = [list(node.inputs[end + place :: width]) for place in range(width)]
        return loop.finish([0] * width, [0] * width)
    condition, *results = loop.add([loop.constant(done), loop.constant(True), *loop.carried])
    node.meta[_DONE] = done + 1
    _read_next(node, [condition, *loop.carried], results[len(loop.carried) :])
    return [*loop.nodes, node]


def _read_next(
    node: ir.Node, given: Sequence[ir.Value | None], collected: Sequence[ir.Value | None]
) -> None:
    """Let the Loop read what its next iteration is given, and one more row of what they collect."""
    count = len(node.inputs)
    node.resize_inputs(count + len(collected))
    for place, value in [*enumerate(given, start=1), *enumerate(collected, start=count)]:
        node.replace_input_with(place, value)


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
        self.nodes: list[ir.Node] = []
        self._node, self._body, self._builder, self._returned = node, body, builder, returned

    def constant(self, number: int | bool) -> ir.Value:
        """A number: int64, or bool."""
        return self._builder.at(self._node).const(np.asarray(number))

    def made(self, op: str, inputs: Sequence[ir.Value | None], attrs: dict[str, Any]) -> ir.Value:
        """A new node in front of the loop."""
        item = ir.node(op, inputs, attrs, version=OPSET)
        item.name = self._builder.fresh_node(str(self._node.name))
        item.outputs[0].name = self._builder.fresh(f"{self._node.name}_{op.lower()}")
        self._builder.graph.insert_before(self._node, item)
        self.nodes.append(item)
        return item.outputs[0]

    def add(self, given: list[ir.Value | None]) -> list[ir.Value | None]:
        """One more iteration, whose body gets `given`; what the body returns."""
        copy = self._body.clone(allow_outer_scope_values=True)
        inputs = dict(zip(copy.inputs, given, strict=True))
        results = [inputs.get(value, value) for value in copy.outputs]
        copy.outputs.clear()  # a value can be an output of one graph only
        for own, value in inputs.items():
            if value is None:
                raise invalid(self._node, "an input that its body reads is missing")
            ir.convenience.replace_all_uses_with(own, value)
        self.nodes += lifted(copy, self._node, self._builder)
        end = self._returned + len(self.carried)
        self.carried = results[self._returned : end]
        for kept, result in zip(self.collected, results[end:], strict=True):
            kept.append(result)
        return results

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
        return self.nodes

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


def _goes_on(node: ir.Node, body: ir.Graph, done: int) -> bool:
    """Whether the Loop runs once more after `done` iterations.

    Raises:
        UnsupportedOpError: no constant says so, or it is too often.
    """
    limit, condition = (array_of(value) for value in node.inputs[:2])
    if node.inputs[1] is not None:
        if condition is None or condition.size != 1:
            raise _unsupported(node, "a Loop with a condition that is computed")
        if not condition.item():
            return False
    if node.inputs[0] is not None:
        if limit is None or limit.size != 1:
            raise _unsupported(node, "a Loop whose number of iterations is computed")
        if done >= limit.item():
            return False
    if done == 1 and _decided_once(body):
        if limit is None:
            raise _unsupported(node, "a Loop that does not end")
        _check_size(node, body, int(limit.item()))
    _check_size(node, body, done + 1, more=1)
    return True


def _decided_once(body: ir.Graph) -> bool:
    """Whether no later iteration decides otherwise than the first, for whatever it is given."""
    varied = {own for own in body.inputs if own is not body.inputs[1]}
    return body.outputs[0] not in _from_data(body, varied)


def _check_decided(node: ir.Node, body: ir.Graph) -> None:
    """Raise where data decide whether the Loop goes on, before any of it is unrolled.

    Raises:
        UnsupportedOpError: they decide.
    """
    carried = list(zip(body.inputs[2:], body.outputs[1:], strict=False))
    data = {own for own, given in zip(body.inputs, node.inputs, strict=True) if _varies(given)}
    data -= set(body.inputs[:2])
    found = _from_data(body, data)
    while more := {own for own, returned in carried if returned in found} - data:
        data |= more
        found = _from_data(body, data)
    if body.outputs[0] in found:
        raise _unsupported(node, "a Loop whose iterations decide whether it goes on")


def _from_data(body: ir.Graph, data: set[ir.Value]) -> set[ir.Value]:
    """Which values of a body depend on data: on those of its inputs, or of the graph around it."""
    inside = {*body.inputs, *(value for node in body for value in node.outputs)}
    read = [value for node in body for value in node.inputs if value is not None]
    found = data | {
        value for value in [*read, *body.outputs] if value not in inside and _varies(value)
    }
    for node in body:
        if node.op_type in RANDOM or (node.op_type not in SIZES and found & set(node.inputs)):
            found.update(node.outputs)
    return found


def _varies(value: ir.Value | None) -> bool:
    """Whether a value is no constant; of one that is missing nothing depends."""
    return value is not None and array_of(value) is None


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


def _check_size(node: ir.Node, body: ir.Graph, count: int, more: int = 0) -> None:
    """Raise where the unrolled nodes are too many.

    Args:
        node: the loop.
        body: its body.
        count: how many iterations are known of.
        more: how many of them are not in the graph yet, of a loop that may have others; 0 for all.
    """
    size = max(len(body), 1)
    around = 0 if node.graph is None else len(node.graph)
    if count * size > MOST_NODES or around + (more or count) * size > MOST_IN_ALL:
        iterations = f"{count} iterations or more" if more else f"{count} iterations"
        raise _unsupported(node, f"a {node.op_type} of {iterations} of {len(body)} nodes")


def _unsupported(node: ir.Node, what: str) -> UnsupportedOpError:
    return UnsupportedOpError(
        what,
        node=str(node.name),
        op=node.op_type,
        why=f"the DSP runs a fixed list of nodes, of which a loop may have {MOST_NODES}",
        hint="export the model without control flow (fixed sizes, unrolled loops)",
    )
