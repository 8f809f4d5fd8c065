"""An output in slices of its range, each of 256 values: n slices have log2(n) bits more.

With ends e_0 < e_1 < ... < e_n, a value y is e_0 + sum over k of clip(y - e_k, 0, e_(k+1) - e_k).
The slices of a product are the same product with other biases, in one node with n times the output
channels, whose clipping is the end of its range. So are those of a tensor with a factor and an
addend for each channel, as norms end. A monotone function behind either is a table for each. The
application adds the slices up, or the DSP does, in float.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.annotations import annotate, notes_of
from hexconv.arrays import Array
from hexconv.errors import ConfigError
from hexconv.lowering.channel_factors import channel_factors
from hexconv.lowering.lookup import Function
from hexconv.names import did_you_mean, listed
from hexconv.onnx_graph import FloatGraph, NodeView, TensorInfo
from hexconv.onnx_graph.builder import FloatBuilder, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.optimize.fusions.affine import channel_step
from hexconv.optimize.fusions.edit import insert_custom_op, remove
from hexconv.optimize.products import Product, product_of, widened
from hexconv.quantize import Bounds
from hexconv.slices import Slices

FEW_VALUES = 256
"""Values of an output, of a sample: the range of fewer is not well known."""
MARGINS = (0.05, 0.3)
"""What the ends are beyond the calibrated range, as shares of it: of many values, and of few."""
FUNCTIONS: Mapping[str, Function] = {"Tanh": np.tanh}
"""Monotone functions that a product's slices pass through."""
NAME = "/slices"
JOINED = "adds up the slices of an output"
"""Why a sum is computed in float."""
MAKERS = (
    "a Conv, ConvTranspose, Gemm or MatMul with constant weights, a factor and an addend for each "
    "channel, as norms end, or a Tanh of one of these"
)

SlicedOutputs = Mapping[str, tuple[TensorInfo, Slices]]
"""By output of a graph: the model's output, and its slices that the graph's holds."""


@dataclass(frozen=True)
class Scaled:
    """A factor and an addend for each channel, which make an output.

    Attributes:
        source: what is scaled.
        factor: (channels,).
        bias: (channels,) that is added.
        channels: the axis that has them.
        last: the node whose result is complete.
        function: behind it, if there is one.
    """

    source: ir.Value
    factor: Array
    bias: Array
    channels: int
    last: ir.Node
    function: ir.Node | None


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
    graph: FloatGraph,
    ranges: Mapping[str, Bounds],
    counts: Mapping[str, int],
    joined: Collection[str] = (),
) -> tuple[dict[str, Bounds], SlicedOutputs]:
    """Replace outputs by their slices, in place.

    Args:
        graph: changed in place.
        ranges: (min, max) of each value.
        counts: of slices, by output.
        joined: those of these outputs whose slices the graph adds up, and that stay as they were.

    Returns:
        The ranges, with those of the new values; by new output the one it was, and its slices.

    Raises:
        ConfigError: nothing that has slices makes an output.
    """
    found, made = dict(ranges), dict[str, tuple[TensorInfo, Slices]]()
    infos = {info.name: info for info in graph.outputs}
    outputs = {str(value.name): value for value in graph.graph.outputs}
    for name, count in counts.items():
        maker = _maker_of(outputs[name])
        if maker is None:
            raise _not_made(graph, outputs[name])
        builder = FloatBuilder(graph.graph).at(maker.function or maker.last)
        parts, ends = _sliced(builder, maker, outputs[name], found, count)
        if name in joined:
            _join(builder, maker, parts, ends, outputs[name], found)
            continue
        value = _behind_each_other(builder, maker, parts, name, found)
        place = list(graph.graph.outputs).index(outputs[name])
        graph.graph.outputs[place] = value
        made[str(value.name)] = infos[name], Slices(ends, maker.channels)
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


def sliceable(graph: FloatGraph) -> set[str]:
    """The outputs that can have slices."""
    return {str(v.name) for v in graph.graph.outputs if _maker_of(v) is not None}


def _maker_of(output: ir.Value) -> Product | Scaled | None:
    """What makes an output, and can make its slices."""
    node = output.producer()
    function = node if node is not None and node.op_type in FUNCTIONS else None
    value = output if function is None else function.inputs[0]
    assert value is not None
    return product_of(value, function) or _scaled_of(value, function)


def _scaled_of(value: ir.Value, function: ir.Node | None) -> Scaled | None:
    """The factors and addends that follow each other and make a value."""
    last = value.producer()
    if last is None or notes_of(last).float_reason:
        return None
    if last.op_type == "BatchNormalization":
        return _of_statistics(last, function)
    step = channel_step(last)
    if step is None:
        return None
    source, factor, addend = step.source, step.factor, step.addend
    while read_once(source) and (maker := source.producer()) is not None:
        before = channel_step(maker)
        if before is None or before.axis != step.axis or notes_of(maker).float_reason:
            break
        source, addend = before.source, addend + factor * before.addend
        factor = factor * before.factor
    return Scaled(source, factor, addend, step.axis, last, function)


def _of_statistics(node: ir.Node, function: ir.Node | None) -> Scaled | None:
    """A BatchNormalization of constant statistics."""
    found, source = channel_factors(NodeView(node)), node.inputs[0]
    if found is None or source is None:
        return None
    return Scaled(source, *found, 1, node, function)


def _sliced(
    builder: FloatBuilder,
    maker: Product | Scaled,
    output: ir.Value,
    ranges: dict[str, Bounds],
    count: int,
) -> tuple[list[ir.Value], tuple[float, ...]]:
    """The slices of an output, and their ends.

    Returns:
        One value with the slices behind each other on its channels, or, behind a function, one for
        each; and the ends, one more.
    """
    name, size = str(output.name), int(np.prod(shape_of(output)))
    inner = maker.last.outputs[0]
    low, high = ranges[str(inner.name)]
    margin = (high - low or 1.0) * MARGINS[size < FEW_VALUES]
    ends = np.linspace(low - margin, high + margin, count + 1)
    wide = _widened(builder, maker, ends[:-1], ranges)
    width = float(ends[1] - ends[0])
    clipped = builder.op(
        "Clip", [wide, np.float32(0.0), np.float32(width)], name=f"{name}{NAME}_of_product"
    )
    ranges[str(wide.name)] = ranges[str(clipped.name)] = (0.0, width)
    if maker.function is None:
        return [clipped], tuple(map(float, ends))
    return _through(builder, maker, clipped, ends, ranges)


def _behind_each_other(
    builder: FloatBuilder,
    maker: Product | Scaled,
    parts: Sequence[ir.Value],
    name: str,
    ranges: dict[str, Bounds],
) -> ir.Value:
    """All slices in one value, the graph's output."""
    joined = parts[0]
    if len(parts) > 1:
        joined = builder.op("Concat", parts, {"axis": maker.channels}, name=f"{name}{NAME}")
    ranges[name + NAME] = ranges[str(parts[0].name)]
    joined.name = name + NAME
    return joined


def _join(
    builder: FloatBuilder,
    maker: Product | Scaled,
    parts: Sequence[ir.Value],
    ends: Sequence[float],
    output: ir.Value,
    ranges: dict[str, Bounds],
) -> None:
    """Let the sum of the slices, in the order of `Slices.joined`, be the output."""
    if len(parts) == 1:
        parts = _pieces(builder, maker, parts[0], len(ends) - 1, ranges)
    total = builder.op("Sum", [*parts, np.float32(ends[0])])
    node, replaced = total.producer(), output.producer()
    assert node is not None and replaced is not None
    annotate(node, float_reason=JOINED)
    builder.replace(replaced, [total])


def _pieces(
    builder: FloatBuilder,
    maker: Product | Scaled,
    slices: ir.Value,
    count: int,
    ranges: dict[str, Bounds],
) -> Sequence[ir.Value]:
    """Each slice of those that are behind each other."""
    sizes = {"axis": maker.channels, "num_outputs": count}
    pieces = builder.ops("Split", [slices], sizes, outputs=count)
    ranges |= dict.fromkeys((str(piece.name) for piece in pieces), ranges[str(slices.name)])
    return pieces


def _widened(
    builder: FloatBuilder, maker: Product | Scaled, starts: Array, ranges: dict[str, Bounds]
) -> ir.Value:
    """What makes the output with a copy of its channels for each slice, from 0 on."""
    biases = [maker.bias - start for start in starts]
    if isinstance(maker, Product):
        return widened(builder, maker, [maker.weights] * len(biases), biases)
    repeated = builder.op("Concat", [maker.source] * len(biases), {"axis": maker.channels})
    ranges[str(repeated.name)] = ranges[str(maker.source.name)]
    factor, addend = np.tile(maker.factor, len(biases)), np.concatenate(biases)
    return _affine(builder, repeated, factor, addend, maker.channels)


def _affine(
    builder: FloatBuilder, source: ir.Value, factor: Array, addend: Array, axis: int
) -> ir.Value:
    """One node, always: what is rounded before its addend is added has no slices."""
    consts = [
        builder.const(values.astype(np.float32))
        for values in (factor, addend, np.zeros_like(factor))
    ]
    stand_in = builder.op("Identity", [source])
    maker = stand_in.producer()
    assert maker is not None
    node = insert_custom_op("Affine", maker, [source, *consts], stand_in, {"axis": axis})
    remove(maker)
    return node.outputs[0]


def _through(
    builder: FloatBuilder,
    maker: Product | Scaled,
    clipped: ir.Value,
    ends: Array,
    ranges: dict[str, Bounds],
) -> tuple[list[ir.Value], tuple[float, ...]]:
    """Each slice through the function, from what this is at the slice's start."""
    assert maker.function is not None
    function = FUNCTIONS[maker.function.op_type]
    made = function(ends)
    parts = []
    pieces = _pieces(builder, maker, clipped, len(ends) - 1, ranges)
    width = float(np.diff(made).max())
    for piece, start, value in zip(pieces, ends, made, strict=False):
        stand_in = builder.op(maker.function.op_type, [piece])
        node = stand_in.producer()
        assert node is not None
        table = _from(function, float(start), float(value))
        made_node = insert_custom_op("Lookup", maker.function, [piece], stand_in, functions=table)
        remove(node)
        ranges[str(made_node.outputs[0].name)] = (0.0, width)
        parts.append(made_node.outputs[0])
    return parts, tuple(map(float, made))


def _from(function: Function, start: float, value: float) -> Function:
    """What a function exceeds its value at `start` by, of the distance from there."""
    return lambda x: function(x + start) - value
