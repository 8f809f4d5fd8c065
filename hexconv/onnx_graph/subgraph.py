"""An exported model that can be taken apart: dependencies, and parts as models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from hexconv.errors import HexconvError, ModelError
from hexconv.onnx_graph.cleanup import check_wiring, name_nodes, remove_dead
from hexconv.onnx_graph.load import load
from hexconv.onnx_graph.read import read_model
from hexconv.onnx_graph.shapes import fix_input_shapes

LARGEST = 2**31 - 2**20
"""Maximum bytes of weights in one protobuf, with some space for the rest."""


@dataclass(frozen=True)
class Pieces:
    """A model of fixed input shapes, in the file's own ops and names.

    Attributes:
        model: the whole.
        label: the file, for messages.
        values: everything with a name: inputs, initializers, results of nodes.
        varying: the nodes that depend on an input; the others are constants.
        uses: the graph's nodes that read a value, in their bodies or directly.
    """

    model: ir.Model
    label: str
    values: Mapping[str, ir.Value]
    varying: frozenset[ir.Node]
    uses: Mapping[ir.Value, Collection[ir.Node]]

    @property
    def graph(self) -> ir.Graph:
        """Its graph."""
        return self.model.graph

    def proto(self) -> onnx.ModelProto:
        """The whole, input shapes fixed."""
        return ir.serde.serialize_model(self.model)

    def readers(self, value: ir.Value) -> set[ir.Node]:
        """The graph's own nodes that read a value."""
        return set(self.uses.get(value, ()))

    def behind(self, nodes: Collection[ir.Node]) -> set[ir.Node]:
        """These nodes, and all that depend on them."""
        found = set(nodes)
        queue = list(found)
        while queue:
            for value in queue.pop().outputs:
                new = self.readers(value) - found
                found |= new
                queue += new
        return found

    def before(self, values: Iterable[ir.Value], stop: Collection[ir.Value] = ()) -> set[ir.Node]:
        """All nodes that values depend on, not beyond the values in `stop`."""
        found: set[ir.Node] = set()
        queue = list(values)
        while queue:
            value = queue.pop()
            node = value.producer()
            if value in stop or node is None or node in found:
                continue
            found.add(node)
            queue += reads(node)
        return found

    def handed_over(self, nodes: Collection[ir.Node]) -> list[ir.Value]:
        """What nodes read of varying nodes that are not among them, in order."""
        found = {
            value: None
            for node in self.graph
            if node in nodes
            for value in reads(node)
            if (producer := value.producer()) in self.varying and producer not in nodes
        }
        return list(found)


def reads(node: ir.Node) -> list[ir.Value]:
    """What a node reads, its bodies included: values of the graph that contains it."""
    found = [value for value in node.inputs if value is not None]
    for attr in node.attributes.values():
        graphs = (
            [attr.value]
            if attr.type == ir.AttributeType.GRAPH
            else attr.value
            if attr.type == ir.AttributeType.GRAPHS
            else []
        )
        for graph in graphs:
            inner = {value for item in graph.all_nodes() for value in item.outputs}
            inner |= {*graph.inputs, *graph.initializers.values()}
            captured = [value for item in graph for value in reads(item)]
            found += [v for v in [*captured, *graph.outputs] if v not in inner]
    return found


def opened(
    source: str | Path | onnx.ModelProto, shapes: Mapping[str, Sequence[int]] | None = None
) -> Pieces:
    """A model, its input shapes fixed and sizes that follow from them made constants.

    Raises:
        FileError, ModelError: it cannot be read, or its shapes are not fixed.
    """
    whole = pieces_of(source)
    graph = whole.graph
    fix_input_shapes(whole.model, shapes)
    _take_shapes(whole, source, shapes)
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(whole.model)
    _fold_sizes(graph)
    return replace(whole, varying=_varying(graph), uses=_uses(graph))


def as_far_as_known(source: str | Path | onnx.ModelProto) -> Pieces:
    """As `opened`; where sizes of inputs are not fixed, shapes may have unknown sizes.

    Raises:
        FileError, ModelError: it cannot be read.
    """
    try:
        return opened(source)
    except HexconvError:
        pieces = pieces_of(source)
        ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(pieces.model)
        return pieces


def pieces_of(source: str | Path | onnx.ModelProto) -> Pieces:
    """A model as it is, its shapes as the file declares them.

    Raises:
        FileError, ModelError: it cannot be read.
    """
    model, label = read_model(source)
    check_wiring(model.graph, label)
    name_nodes(model.graph)
    remove_dead(model.graph)
    graph = model.graph
    for value in [value for value in graph.inputs if value.name in graph.initializers]:
        graph.inputs.remove(value)
    values = {str(value.name): value for value in (*graph.inputs, *graph.initializers.values())}
    values.update({str(v.name): v for node in graph for v in node.outputs if v.name})
    return Pieces(model, label, values, _varying(graph), _uses(graph))


def part(
    pieces: Pieces,
    nodes: Collection[ir.Node],
    outputs: Sequence[ir.Value],
    fed: Sequence[ir.Value],
) -> onnx.ModelProto:
    """Some nodes as a model of their own.

    Args:
        pieces: the whole.
        nodes: its nodes.
        outputs: its outputs.
        fed: results of other nodes that become its inputs; the model's own inputs that the nodes
            read are inputs as well.

    Raises:
        ModelError: its weights are more than one file can contain.
    """
    proto = ir.serde.serialize_model(pieces.model)
    needed = {str(v.name) for node in nodes for v in reads(node)} | {str(v.name) for v in outputs}
    weights = sum(
        value.const_value.nbytes
        for name, value in pieces.graph.initializers.items()
        if name in needed and value.const_value is not None
    )
    if weights > LARGEST:
        raise ModelError(
            "a part of the model is too large for one ONNX file",
            why=f"its weights are {weights / 1e9:.1f} GB, a protobuf is limited to 2",
            hint="cut elsewhere",
        )
    made = {str(node.name) for node in nodes}
    results = {str(value.name) for node in nodes for value in node.outputs}
    graph = proto.graph
    _keep(graph.node, lambda item: item.name in made)
    _keep(graph.initializer, lambda item: item.name in needed)
    _keep(graph.sparse_initializer, lambda item: item.values.name in needed)
    _keep(graph.input, lambda item: item.name in needed)
    _keep(graph.value_info, lambda item: item.name in results)
    graph.input.extend(_info(value) for value in fed)
    del graph.output[:]
    graph.output.extend(_info(value) for value in outputs)
    return proto


def _keep(items: Any, wanted: Callable[[Any], bool]) -> None:
    """Delete the other items of a repeated field, in place: weights are not copied."""
    for index in reversed(range(len(items))):
        if not wanted(items[index]):
            del items[index]


def _info(value: ir.Value) -> onnx.ValueInfoProto:
    return ir.serde.serialize_value(value)


def _take_shapes(
    pieces: Pieces,
    source: str | Path | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None,
) -> None:
    """Shapes known from the canonical form, where sizes are computed from other sizes.

    What depends on non-float inputs has no canonical form, and is left out.
    """
    others = [
        value
        for value in pieces.graph.inputs
        if value.dtype is not None and not value.dtype.is_floating_point()
    ]
    odd = pieces.behind({node for value in others for node in pieces.readers(value)})
    if odd:
        outputs = [value for value in pieces.graph.outputs if value.producer() not in odd]
        ends = list(dict.fromkeys([*pieces.handed_over(odd), *outputs]))
        nodes = pieces.before(ends)
        if not nodes & pieces.varying:
            return
        normal = load(part(pieces, nodes, ends, ()), None, recognize=False, unsupported=[])
    else:
        normal = load(source, shapes, recognize=False, unsupported=[])
    for name, known in normal.values().items():
        value = pieces.values.get(name)
        if value is None or known.shape is None:
            continue
        if value.shape is None or not value.shape.is_static():
            value.shape = known.shape
            value.type = value.type or known.type


def _fold_sizes(graph: ir.Graph) -> None:
    """Shape and Size of a tensor whose sizes are known are constants, which both parts may have."""
    for node in list(graph):
        if node.op_type not in ("Shape", "Size") or node.domain not in ("", "ai.onnx"):
            continue
        source, result = node.inputs[0], node.outputs[0]
        if source is None or source.shape is None or not source.shape.is_static():
            continue
        sizes = list(source.shape.numpy())
        if node.op_type == "Size":
            array = np.asarray(np.prod(sizes, dtype=np.int64), np.int64)
        else:
            start, end = (node.attributes.get(name) for name in ("start", "end"))
            first = start.as_int() if start else 0
            last = end.as_int() if end else len(sizes)
            array = np.asarray(sizes[first:last], np.int64)
        if result.is_graph_output():
            continue
        value = ir.Value(name=result.name, const_value=ir.tensor(array, name=result.name))
        value.shape, value.type = ir.Shape(array.shape), ir.TensorType(ir.DataType.INT64)
        ir.convenience.replace_all_uses_with(result, value)
        graph.remove(node, safe=True)
        graph.register_initializer(value)


def _uses(graph: ir.Graph) -> Mapping[ir.Value, Collection[ir.Node]]:
    found: dict[ir.Value, list[ir.Node]] = defaultdict(list)
    for node in graph:
        for value in reads(node):
            found[value].append(node)
    return found


def _varying(graph: ir.Graph) -> frozenset[ir.Node]:
    found: set[ir.Node] = set()
    inputs = set(graph.inputs)
    for node in graph:
        if any(value in inputs or value.producer() in found for value in reads(node)):
            found.add(node)
    return frozenset(found)
