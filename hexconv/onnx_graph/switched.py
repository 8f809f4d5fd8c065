"""The float model with a switch at each tensor: errors can be added there, one or all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, shape_of
from hexconv.onnx_graph.session import FloatSession

WEIGHED = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}
"""Ops with weights, and where these are."""
SHORT_DEPTH = 4
"""Input channels up to which a layer's weights have one scale (lowering/conv_emitter)."""
ADDED, KEPT, SUM, PRODUCT = "/added", "/kept", "/sum", "/product"
Arrays = Mapping[str, Array]


class Switched:
    """A float model of which every tensor is `computed * kept + added`.

    Args:
        graph: of it; it is not changed.
        tensors: names of the float tensors with a switch.
        weights: names of switches as in `rounded_weights`: there weights are `weights + added`.
    """

    def __init__(self, graph: FloatGraph, tensors: Sequence[str], weights: Sequence[str]) -> None:
        copied = ir.Model(graph.graph.clone(), ir_version=graph.model.ir_version)
        changed = replace(graph, model=copied)
        values = changed.values()
        self._tensors = tuple(tensors)
        self._ranks = {name: len(shape_of(values[name])) for name in tensors}
        for name in tensors:
            _switch(changed, values[name])
        for node in changed.nodes:
            if _weights_of(node) in weights:
                self._ranks[_weights_of(node)] = _switch_weights(changed, node)
        self._inside = FloatSession(changed, self._tensors)

    def tensors(self, sample: Arrays, added: Arrays, replaced: Arrays) -> dict[str, Array]:
        """Each tensor as it is computed, before its own switch.

        Args:
            sample: float arrays by input name.
            added: what to add, by tensor, or by name of the weights' switch.
            replaced: by tensor, what is read instead of what was computed.
        """
        return self._inside.run(self._feeds(sample, added, replaced))

    def _feeds(self, sample: Arrays, added: Arrays, replaced: Arrays) -> dict[str, Array]:
        feeds = dict(sample)
        for name, rank in self._ranks.items():
            nothing = np.zeros((1,) * rank, np.float32)
            feeds[name + ADDED] = replaced.get(name, added.get(name, nothing))
        for name in self._tensors:
            feeds[name + KEPT] = np.asarray(name not in replaced, np.float32)
        return feeds


def _switch(graph: FloatGraph, value: ir.Value) -> None:
    """Put a switch behind a tensor."""
    name = str(value.name)
    readers = [(use.node, use.idx) for use in value.uses()]
    kept = _input(graph, name + KEPT, 0)
    added = _input(graph, name + ADDED, len(shape_of(value)))
    product = ir.node("Mul", [value, kept])
    result = ir.node("Add", [product.outputs[0], added])
    for kind, node in ((PRODUCT, product), (SUM, result)):
        node.outputs[0].name = name + kind
        node.outputs[0].shape, node.outputs[0].type = value.shape, value.type
    producer = value.producer()
    if producer is not None:
        graph.graph.insert_after(producer, [product, result])
    else:
        graph.graph.insert_before(next(iter(graph.graph)), [product, result])
    for node, position in readers:
        node.replace_input_with(position, result.outputs[0])
    for place, output in enumerate(graph.graph.outputs):
        if output is value:
            graph.graph.outputs[place] = result.outputs[0]


def _switch_weights(graph: FloatGraph, node: ir.Node) -> int:
    """Add an input to the weights of a node; their rank."""
    position, name = WEIGHED[node.op_type], _weights_of(node)
    value = node.inputs[position]
    rank = len(shape_of(value))
    added = _input(graph, name + ADDED, rank)
    total = ir.node("Add", [value, added])
    total.outputs[0].name = name + SUM
    assert value is not None
    total.outputs[0].shape, total.outputs[0].type = value.shape, value.type
    graph.graph.insert_before(node, [total])
    node.replace_input_with(position, total.outputs[0])
    return rank


def _input(graph: FloatGraph, name: str, rank: int) -> ir.Value:
    """A new input; its sizes are open, so that one number can stand for zeros of any size."""
    sizes = [f"{name}/{axis}" for axis in range(rank)]
    value = ir.Value(name=name, shape=ir.Shape(sizes), type=ir.TensorType(ir.DataType.FLOAT))
    graph.graph.inputs.append(value)
    return value


def rounded_weights(graph: FloatGraph) -> dict[str, Array]:
    """By name of the weights' switch, what rounding its weights to 8 bits changes them by.

    A scale for each output channel, as the lowerings give them; one for layers of up to 4 input
    channels, where the library has no others. Inputs of 1 or 2 channels are given as often as 4
    have room, which makes that one finer.
    """
    found: dict[str, Array] = {}
    for node in graph.nodes:
        position = None if node.domain else WEIGHED.get(node.op_type)
        weights = None if position is None else array_of(node.inputs[position])
        if weights is None or weights.dtype != np.float32 or weights.size == 0:
            continue
        axis = _channels(node) % weights.ndim
        rest = tuple(place for place in range(weights.ndim) if place != axis)
        depth = _depth(node, weights, axis)
        along = None if depth <= SHORT_DEPTH else rest
        low, high = weights.min(axis=along, keepdims=True), weights.max(axis=along, keepdims=True)
        copies = max(1, SHORT_DEPTH // depth) if node.op_type == "Conv" else 1
        step = np.maximum(np.maximum(-low / 128.0, high / 127.0), np.float32(1e-30)) / copies
        found[_weights_of(node)] = (np.rint(weights / step) * step - weights).astype(np.float32)
    return found


def _weights_of(node: ir.Node) -> str:
    """The name of the switch at a node's weights; tensors have the names of nodes."""
    return f"{node.name}/weights"


def _depth(node: ir.Node, weights: Array, axis: int) -> int:
    """Input channels of a node's weights; of a depthwise convolution more than are few."""
    if node.op_type == "ConvTranspose":
        return int(weights.shape[0])
    if node.op_type != "Conv":
        return int(weights.shape[-2 if axis else -1])
    depthwise = 1 < node.attributes.get_int("group", 1) == weights.shape[0]
    return SHORT_DEPTH + 1 if depthwise else int(weights.shape[1])


def _channels(node: ir.Node) -> int:
    """The axis of a node's weights that has the output channels."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    transposed = node.attributes.get("transB")
    return 0 if transposed is not None and transposed.as_int() else -1
