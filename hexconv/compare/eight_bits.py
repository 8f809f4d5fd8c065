"""What 8 bits allow: the float model, each tensor rounded to 256 values of its own range.

The estimate knows nothing of the DSP. Each op computes exactly, on weights of 8 bits and on tensors
in the range that the samples show, or in the part of it that readers need. What only moves values
is not rounded, nor what one node of a DSP does together with the next: a Relu, Clip or number
behind any op, factors and addends by channel behind each other or a layer with weights. Tensors
that are joined have the range of them all in what is computed of them, and each its own where they
are only returned. A quantized model that is far below it lost more than 8 bits cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.calibrate import observe
from hexconv.decompose import decompose
from hexconv.lowering.needed_ranges import needed_ranges
from hexconv.onnx_graph import FloatGraph, NodeView
from hexconv.onnx_graph.builder import array_of, constant
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.joins import joined, moved
from hexconv.onnx_graph.selections import SELECTIONS
from hexconv.onnx_graph.session import FloatSession
from hexconv.onnx_graph.uses import leads_only_to
from hexconv.quantize import Bounds, cover, symmetric
from hexconv.quantize.ranges import LEVELS

JOINS = frozenset(("Concat", "Pad", "Where"))
"""Ops that make one tensor, with one range, of several."""
MOVES = SELECTIONS | JOINS | {"Dropout", "Neg"}
"""Ops whose results are values that they read."""
FOLLOWS = frozenset(("LeakyRelu", "PRelu", "BatchNormalization"))
"""Ops that a layer with weights, or with factors and addends by channel, does as well."""
WITH_CONSTANT = frozenset(("Add", "Sub", "Mul", "Div"))
"""Ops that it does where the other operand is constant; by one number, every op does."""
WEIGHED = {"Conv": 1, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1}
"""Ops with weights, and where these are."""


RECURRENT = frozenset(("GRU", "LSTM", "RNN"))
"""Ops that are many layers, each of which rounds."""


class EightBits:
    """The float model in 8 bits.

    Args:
        graph: with the ops that exporters write out put together; it is changed.
        samples: {input: array} each, which give the tensors' ranges.
        wider: factor of these ranges. What a comparison or a softmax decides by less than a level
            is decided by chance: another range, as good, may decide otherwise.
    """

    def __init__(
        self, graph: FloatGraph, samples: Iterable[Mapping[str, Array]], wider: float = 1.0
    ) -> None:
        exact = [node for node in graph.nodes if node.op_type not in RECURRENT]
        decompose(graph, exact)
        ranges = observe(graph, samples)
        ends = [str(value.name) for value in (*graph.graph.inputs, *graph.graph.outputs)]
        needed = needed_ranges([NodeView(node) for node in graph.nodes], ranges, ends)
        _round_weights(graph)
        for value in list(_rounded(graph)):
            name = str(value.name)
            bounds = needed.get(name)
            if bounds is not None and bounds[0] < bounds[1]:
                _round(graph, value, bounds, wider, clips=bounds != ranges[name])
        remove_dead(graph.graph)
        self._session = FloatSession(graph)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The model's outputs by name; 0 where a divisor that is rounded to 0 leaves no number.

        Raises:
            ModelError: ONNX Runtime fails.
        """
        results = self._session.run(feeds).items()
        return {name: np.where(np.isfinite(values), values, 0) for name, values in results}


def _rounded(graph: FloatGraph) -> Iterator[ir.Value]:
    """The values that would be tensors of 8 bits."""
    for value in graph.graph.inputs:
        if value.dtype == ir.DataType.FLOAT:
            yield value
    returned: set[ir.Value | None] = set()
    for node in graph.nodes:
        joins = node.op_type in JOINS
        if (joins and _returned(node.outputs[0])) or moved(node, computed=True) in returned:
            returned.update(node.outputs)
            continue
        if node.op_type in MOVES and not joins:
            continue
        for value in node.outputs:
            ends = value.is_graph_output() or not _goes_on(value)
            if value.dtype == ir.DataType.FLOAT and ends:
                yield value


def _returned(value: ir.Value) -> bool:
    """Whether nothing is computed of what is joined, or other joins only."""

    def joins(node: ir.Node, position: int) -> bool:
        return node.op_type in JOINS or moved(node, computed=True) is not None

    return leads_only_to(value, lambda node, position: False, joins, or_output=True)


def _goes_on(value: ir.Value) -> bool:
    """Whether one reader alone takes a value, and in the node that makes it."""
    uses = list(value.uses())
    if len(uses) != 1:
        return False
    node, position = uses[0].node, uses[0].idx
    if node.op_type in ("Relu", "Clip"):
        return position == 0
    if node.op_type in WITH_CONSTANT and _is_number(node.inputs[1 - position]):
        return True
    producer = value.producer()
    folds = producer is not None and (producer.op_type in WEIGHED or _by_constants(producer))
    follows = node.op_type in FOLLOWS and position == 0
    return folds and (follows or _by_constants(node))


def _by_constants(node: ir.Node) -> bool:
    """Whether a node only scales and shifts what it reads."""
    if node.op_type == "BatchNormalization":
        return True
    return node.op_type in WITH_CONSTANT and any(array_of(item) is not None for item in node.inputs)


def _is_number(value: ir.Value | None) -> bool:
    array = array_of(value)
    return array is not None and array.size == 1


def _round(
    graph: FloatGraph, value: ir.Value, bounds: Bounds, wider: float, *, clips: bool
) -> None:
    """Round a value to whole steps for all that reads it.

    Only what its readers do not need is clipped: noise beyond the range of a tensor that should be
    almost 0 has to show.
    """
    name, step = str(value.name), wider * cover(*bounds).step
    readers = [(use.node, use.idx) for use in value.uses()]
    factors = [
        constant(f"{name}/{i}", np.asarray(f, np.float32)) for i, f in enumerate((1 / step, step))
    ]
    for item in factors:
        graph.graph.register_initializer(item)
    counted = ir.node("Mul", [value, factors[0]])
    whole = ir.node("Round", [counted.outputs[0]])
    rounded = ir.node("Mul", [whole.outputs[0], factors[1]])
    for kind, node in (("counted", counted), ("whole", whole), ("rounded", rounded)):
        node.outputs[0].name = f"{name}/{kind}"
        node.outputs[0].shape, node.outputs[0].type = value.shape, value.type
    nodes = [counted, whole, rounded]
    if clips:
        nodes.append(_clip(graph, rounded.outputs[0], bounds))
    _insert(graph, value, nodes)
    result = nodes[-1].outputs[0]
    for node, position in readers:
        node.replace_input_with(position, result)
    for place, output in enumerate(graph.graph.outputs):
        if output is value:
            graph.graph.outputs[place] = result
            value.name, result.name = f"{name}/exact", name


def _clip(graph: FloatGraph, value: ir.Value, bounds: Bounds) -> ir.Node:
    limits = [
        constant(f"{value.name}/{end}", np.asarray(bound, np.float32))
        for end, bound in zip(("low", "high"), bounds, strict=True)
    ]
    for item in limits:
        graph.graph.register_initializer(item)
    node = ir.node("Clip", [value, *limits])
    node.outputs[0].name = f"{value.name}/clipped"
    node.outputs[0].shape, node.outputs[0].type = value.shape, value.type
    return node


def _insert(graph: FloatGraph, value: ir.Value, nodes: list[ir.Node]) -> None:
    """Put nodes right behind a value."""
    producer = value.producer()
    if producer is not None:
        graph.graph.insert_after(producer, nodes)
    elif (first := next(iter(graph.graph), None)) is not None:
        graph.graph.insert_before(first, nodes)


def _round_weights(graph: FloatGraph) -> None:
    for node in graph.nodes:
        position = WEIGHED.get(node.op_type)
        if position is None or node.domain:
            continue
        value = node.inputs[position]
        weights = array_of(value)
        if value is None or weights is None or weights.dtype != np.float32 or not weights.size:
            continue
        step = symmetric(float(weights.min()), float(weights.max())).step
        rounded = constant(f"{value.name}/{node.name}/rounded", _nearest(weights, step))
        graph.graph.register_initializer(rounded)
        node.replace_input_with(position, rounded)


def _nearest(values: Array, step: float) -> npt.NDArray[np.float32]:
    steps = np.clip(np.rint(values / np.float32(step)), -(LEVELS + 1) // 2, LEVELS // 2)
    rounded: npt.NDArray[np.float32] = steps.astype(np.float32) * np.float32(step)
    return rounded


@dataclass(frozen=True)
class OutputPart:
    """A tensor that is joined with others into a model output.

    Attributes:
        tensor: its name.
        where: (output's shape) bool, the elements that are its.
    """

    tensor: str
    where: npt.NDArray[np.bool_]


def parts_of(graph: FloatGraph, output: str) -> list[OutputPart]:
    """What an output joins; nothing for one that nothing joins."""
    found = joined(graph.values()[output], computed=True)
    if found is None:
        return []
    names = [str(value.name) for value in found.parts]
    return [OutputPart(name, found.places == number) for number, name in enumerate(names)]
