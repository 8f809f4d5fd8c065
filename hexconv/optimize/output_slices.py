"""An output in slices of its range, each of 256 values: n slices have log2(n) bits more.

With ends e_0 < e_1 < ... < e_n, a value y is e_0 + sum over k of clip(y - e_k, 0, e_(k+1) - e_k).
The slices of a product are the same product with other biases, in one node with n times the output
channels, whose clipping is the end of its range. A monotone function behind it is a table for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.arrays import Array
from hexconv.errors import ConfigError
from hexconv.lowering.lookup import Function
from hexconv.names import did_you_mean, listed
from hexconv.onnx_graph import FloatGraph, TensorInfo
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.optimize.fusions.edit import insert_custom_op, remove
from hexconv.quantize import Bounds
from hexconv.slices import Slices

FEW_VALUES = 256
"""Values of an output, of a sample: the range of fewer is not well known."""
MARGINS = (0.05, 0.3)
"""What the ends are beyond the calibrated range, as shares of it: of many values, and of few."""
FUNCTIONS: Mapping[str, Function] = {"Tanh": np.tanh}
"""Monotone functions that a product's slices pass through."""
PRODUCTS = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1}
"""Ops, and the axis of their weights that has the output channels."""
NAME = "/slices"
MAKERS = "a Conv, ConvTranspose, Gemm or MatMul with constant weights, or a Tanh of one"

SlicedOutputs = Mapping[str, tuple[TensorInfo, Slices]]
"""By output of a graph: the model's output, and its slices that the graph's holds."""


@dataclass(frozen=True)
class Product:
    """What makes an output.

    Attributes:
        node: the product.
        bias: (channels,) that is added.
        channels: the axis of its result that has them.
        last: the node whose result is complete: the product, or the Add of its bias.
        function: behind it, if there is one.
    """

    node: ir.Node
    bias: Array
    channels: int
    last: ir.Node
    function: ir.Node | None

    @property
    def weights(self) -> Array:
        """Of the product, in its own layout."""
        return np.asarray(array_of(self.node.inputs[1]), np.float32)

    @property
    def outputs(self) -> int:
        """The axis of the weights that has the output channels."""
        return PRODUCTS[self.node.op_type] % self.weights.ndim


def check_outputs(graph: FloatGraph, names: Iterable[str]) -> None:
    """Raise for an output that there is not: before its ranges are measured, for minutes perhaps.

    Raises:
        ConfigError: naming it, and those that there are.
    """
    outputs = [str(value.name) for value in graph.graph.outputs]
    for name in names:
        if name not in outputs:
            raise ConfigError(
                f"the model has no output '{name}' to slice",
                hint=f"{did_you_mean(name, outputs)}there are {listed(outputs)}",
            )


def slice_outputs(
    graph: FloatGraph, ranges: Mapping[str, Bounds], counts: Mapping[str, int]
) -> tuple[dict[str, Bounds], SlicedOutputs]:
    """Replace outputs by their slices, in place.

    Args:
        graph: changed in place.
        ranges: (min, max) of each value.
        counts: of slices, by output.

    Returns:
        The ranges, with those of the new values; by new output the one it was, and its slices.

    Raises:
        ConfigError: no product makes an output.
    """
    found, made = dict(ranges), dict[str, tuple[TensorInfo, Slices]]()
    infos = {info.name: info for info in graph.outputs}
    outputs = {str(value.name): value for value in graph.graph.outputs}
    for name, count in counts.items():
        product = _product(outputs[name])
        if product is None:
            raise _not_made(graph, outputs[name])
        value, slices = _sliced(graph, product, outputs[name], found, count)
        place = list(graph.graph.outputs).index(outputs[name])
        graph.graph.outputs[place] = value
        made[str(value.name)] = infos[name], slices
    remove_dead(graph.graph)
    return found, made


def _not_made(graph: FloatGraph, output: ir.Value) -> ConfigError:
    """The error of an output that no product makes, or that a quantizer of the model rounds."""
    what, node = f"the output '{output.name}' cannot be sliced", output.producer()
    source = node.inputs[0] if node is not None and node.op_type == "Clip" else None
    if str(output.name) in graph.ranges and source is not None:
        return ConfigError(
            what,
            why="the model rounds it to 8 bits itself",
            hint=f"make what it rounds the output: --outputs {source.name}",
        )
    return ConfigError(
        what,
        why=f"it is not made by {MAKERS}",
        hint="make the tensor that such a node computes the output: --outputs TENSOR",
    )


def _product(output: ir.Value) -> Product | None:
    node = output.producer()
    function = node if node is not None and node.op_type in FUNCTIONS else None
    if function is not None and function.inputs[0] is not None:
        return product_of(function.inputs[0], function)
    return product_of(output)


def product_of(value: ir.Value, function: ir.Node | None = None) -> Product | None:
    """The product by constant weights that makes a value, its bias with it; None if it is none.

    Args:
        value: computed.
        function: behind it, if there is one.
    """
    node = value.producer()
    if node is None:
        return None
    if node.op_type == "Add":
        return _with_bias(node, function)
    return _plain(node, node, None, function)


def _with_bias(add: ir.Node, function: ir.Node | None) -> Product | None:
    for position in (0, 1):
        value, other = add.inputs[position], array_of(add.inputs[1 - position])
        maker = None if value is None else value.producer()
        if other is None or maker is None or shape_of(value) != shape_of(add.outputs[0]):
            continue
        channels = shape_of(value)[-1]
        if maker.op_type == "MatMul" and (
            other.size == 1 or other.size == channels == other.shape[-1]
        ):
            return _plain(maker, add, np.broadcast_to(other.reshape(-1), (channels,)), function)
    return None


def _plain(
    node: ir.Node, last: ir.Node, bias: Array | None, function: ir.Node | None
) -> Product | None:
    weights = array_of(node.inputs[1]) if len(node.inputs) > 1 else None
    # Gemm is MatMul here.
    if (
        weights is None
        or weights.ndim < 2
        or node.op_type not in PRODUCTS
        or notes_of(node).float_reason
    ):
        return None
    shape = shape_of(node.outputs[0])
    group = node.attributes.get("group")
    if (node.op_type == "MatMul" and weights.ndim != 2) or (
        group is not None and group.as_int() != 1
    ):
        return None
    channels = len(shape) - 1 if node.op_type == "MatMul" else 1
    own = array_of(node.inputs[2]) if len(node.inputs) > 2 else None
    if len(node.inputs) > 2 and node.inputs[2] is not None and own is None:
        return None
    total = np.zeros(shape[channels]) if bias is None else bias.astype(np.float64)
    if own is not None:
        if own.size not in (1, shape[channels]):
            return None
        total = total + own.reshape(-1)
    return Product(node, total, channels, last, function)


def _sliced(
    graph: FloatGraph,
    product: Product,
    output: ir.Value,
    ranges: dict[str, Bounds],
    count: int,
) -> tuple[ir.Value, Slices]:
    """The slices of an output, behind each other on its channels."""
    name, size = str(output.name), int(np.prod(shape_of(output)))
    inner = product.last.outputs[0]
    low, high = ranges[str(inner.name)]
    margin = (high - low or 1.0) * MARGINS[size < FEW_VALUES]
    ends = np.linspace(low - margin, high + margin, count + 1)
    builder = FloatBuilder(graph.graph).at(product.function or product.last)
    wide = _widened(builder, product, ends)
    width = float(ends[1] - ends[0])
    clipped = builder.op(
        "Clip", [wide, np.float32(0.0), np.float32(width)], name=f"{name}{NAME}_of_product"
    )
    ranges[str(wide.name)] = ranges[str(clipped.name)] = (0.0, width)
    if product.function is None:
        clipped.name = name + NAME
        ranges[name + NAME] = (0.0, width)
        return clipped, Slices(tuple(map(float, ends)), product.channels)
    return _through(builder, product, clipped, ends, name, ranges)


def _widened(builder: FloatBuilder, product: Product, ends: Array) -> ir.Value:
    """The product with a copy of its channels for each slice, from 0 on."""
    bias = [product.bias - end for end in ends[:-1]]
    return widened(builder, product, [product.weights] * len(bias), bias)


def widened(
    builder: FloatBuilder, product: Product, weights: Sequence[Array], biases: Sequence[Array]
) -> ir.Value:
    """The product with other weights and biases, several behind each other on its channels."""
    node = product.node
    tiled = np.concatenate(weights, axis=PRODUCTS[node.op_type])
    bias = np.concatenate(biases).astype(np.float32)
    if node.op_type == "MatMul":
        return _linear(builder, node.inputs[0], tiled, bias)
    return builder.op(node.op_type, [node.inputs[0], tiled, bias], dict(node.attributes))


def _linear(
    builder: FloatBuilder, source: ir.Value | None, weights: Array, bias: Array
) -> ir.Value:
    """One node, always: a product that is rounded before its bias is added has no slices."""
    made = builder.op("Add", [builder.op("MatMul", [source, weights]), bias])
    add = made.producer()
    assert add is not None and add.inputs[0] is not None
    product = add.inputs[0].producer()
    assert product is not None
    node = insert_custom_op("Linear", add, [source, product.inputs[1], add.inputs[1]], made)
    remove(add, product)
    return node.outputs[0]


def _through(
    builder: FloatBuilder,
    product: Product,
    clipped: ir.Value,
    ends: Array,
    name: str,
    ranges: dict[str, Bounds],
) -> tuple[ir.Value, Slices]:
    """Each slice through the function, from what this is at the slice's start."""
    assert product.function is not None
    function = FUNCTIONS[product.function.op_type]
    made = function(ends)
    count, parts = len(ends) - 1, []
    pieces = builder.ops(
        "Split", [clipped], {"axis": product.channels, "num_outputs": count}, outputs=count
    )
    width = float(np.diff(made).max())
    for piece, start, value in zip(pieces, ends, made, strict=False):
        ranges[str(piece.name)] = (0.0, float(ends[1] - ends[0]))
        stand_in = builder.op(product.function.op_type, [piece])
        maker = stand_in.producer()
        assert maker is not None
        table = _from(function, float(start), float(value))
        node = insert_custom_op("Lookup", product.function, [piece], stand_in, functions=table)
        remove(maker)
        ranges[str(node.outputs[0].name)] = (0.0, width)
        parts.append(node.outputs[0])
    joined = builder.op("Concat", parts, {"axis": product.channels}, name=f"{name}{NAME}")
    joined.name = name + NAME
    ranges[name + NAME] = (0.0, width)
    return joined, Slices(tuple(map(float, made)), product.channels)


def _from(function: Function, start: float, value: float) -> Function:
    """What a function exceeds its value at `start` by, of the distance from there."""
    return lambda x: function(x + start) - value
