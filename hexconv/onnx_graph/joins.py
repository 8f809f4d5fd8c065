"""The tensors that are joined into another one, and where the elements of each are in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.onnx_graph.builder import OPSET, array_of, shape_of
from hexconv.onnx_graph.evaluate import evaluate
from hexconv.onnx_graph.selections import SELECTIONS

JOINS = frozenset(("Concat", "Where"))
"""Ops that make one tensor of several, a Where by a mask that is constant."""
MOVES = (SELECTIONS | {"Pad"}) - {"MaxPool"}
"""Ops that move, repeat or leave out elements, whatever their values are."""
BY_ELEMENT = frozenset(("Clip", "Neg", "Relu"))
"""Ops that leave each element in its place, and change its range only."""
BY_CONSTANT = frozenset(("Add", "Div", "Mul", "Sub"))
"""Ops that do so where the other operand is constant: one number, or one for each channel."""
NOTHING = -1
"""In the place of what a Pad adds."""


@dataclass(frozen=True)
class Joined:
    """What a tensor is joined of.

    Attributes:
        node: the last one that joins.
        parts: the tensors, each once.
        places: (tensor's shape) int32, the number of the part that each element is of, or NOTHING.
    """

    node: ir.Node
    parts: tuple[ir.Value, ...]
    places: npt.NDArray[np.int32]


def joined(value: ir.Value, *, computed: bool = False) -> Joined | None:
    """What a tensor is joined of; None for one that nothing joins.

    Args:
        value: the tensor.
        computed: whether to look behind a Relu, a Clip and constants as well.
    """
    tracer = _Tracer(computed)
    join = tracer.join_of(value)
    if join is None:
        return None
    places = tracer.places(value).astype(np.int32)
    left = [number for number in range(len(tracer.parts)) if (places == number).any()]
    numbers = np.full(len(tracer.parts) + 1, NOTHING, np.int32)
    numbers[left] = np.arange(len(left))
    return Joined(join, tuple(tracer.parts[number] for number in left), numbers[places])


def moved(node: ir.Node, *, computed: bool = False) -> ir.Value | None:
    """The tensor whose elements a node moves; None for a node that does something else.

    Args:
        node: any one.
        computed: whether a Relu, a Clip and constants leave elements what they are as well.
    """
    present = [value for value in node.inputs if value is not None]
    sources = [value for value in present if array_of(value) is None]
    if node.domain or len(sources) != 1:
        return None
    if node.op_type in MOVES:
        return sources[0] if sources[0] is node.inputs[0] else None
    return sources[0] if computed and _leaves_in_place(node, sources[0]) else None


def _leaves_in_place(node: ir.Node, source: ir.Value) -> bool:
    if node.op_type in BY_ELEMENT:
        return True
    if node.op_type == "Div" and node.inputs[0] is not source:
        return False  # a small element becomes a large one
    return node.op_type in BY_CONSTANT and shape_of(node.outputs[0]) == shape_of(source)


class _Tracer:
    """Follows tensors back to what they are joined of; each is looked at once."""

    def __init__(self, computed: bool) -> None:
        self._computed = computed
        self.parts: list[ir.Value] = []
        self._places: dict[ir.Value, Array] = {}

    def join_of(self, value: ir.Value) -> ir.Node | None:
        """The node that joins, in front of nodes that move; None if there is none."""
        node = value.producer()
        while node is not None and not _joins(node):
            source = moved(node, computed=self._computed)
            node = None if source is None else source.producer()
        return node

    def places(self, value: ir.Value) -> Array:
        """(value's shape) float32, the number of the part that each element is of."""
        pending = [value]
        while pending:
            traced = self._traced(pending[-1])
            missing = [item for item in traced if item not in self._places]
            if missing:
                pending += reversed(missing)
            else:
                last = pending.pop()
                self._places[last] = self._found(last, traced)
        return self._places[value]

    def _traced(self, value: ir.Value) -> Sequence[ir.Value]:
        """What a tensor is made of; nothing for a part."""
        node = value.producer()
        if node is None or self.join_of(value) is None:
            return ()
        if _joins(node):
            return [item for item in node.inputs[node.op_type == "Where" :] if item is not None]
        source = moved(node, computed=self._computed)
        return () if source is None else (source,)

    def _found(self, value: ir.Value, traced: Sequence[ir.Value]) -> Array:
        node = value.producer()
        if node is None or not traced:
            self.parts.append(value)
            return np.full(shape_of(value), len(self.parts) - 1, np.float32)
        if not _joins(node) and node.op_type not in MOVES:
            return np.broadcast_to(self._places[traced[0]], shape_of(value))
        inputs = [
            self._places[item] if item is not None and item in traced else array_of(item)
            for item in node.inputs
        ]
        if node.op_type == "Pad":
            inputs = [*inputs[:2], np.asarray(NOTHING, np.float32), *inputs[3:]]
        return evaluate(node, inputs, OPSET)[node.outputs.index(value)]


def _joins(node: ir.Node) -> bool:
    if node.domain or node.op_type not in JOINS:
        return False
    return node.op_type == "Concat" or array_of(node.inputs[0]) is not None
