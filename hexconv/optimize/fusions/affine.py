"""Factors and addends per channel that follow each other: one node instead of two or more.

So norms end, and so features and images are normalized, (x - mean) / deviation. As nodes of their
own both constants need a conversion to d32 as well, and what is between is rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, constant, shape_of
from hexconv.optimize.fusions.edit import insert_custom_op, only_reader, remove
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import Bounds

Floats = npt.NDArray[np.float64]

TINY = 1e-30
"""Divisor whose reciprocal need not fit into float32 with what follows."""


@dataclass(frozen=True)
class ChannelStep:
    """x * factor + addend, one of each for every channel.

    Attributes:
        node: that computes it.
        source: x.
        axis: of the channels.
        factor: (channels,).
        addend: (channels,).
    """

    node: ir.Node
    source: ir.Value
    axis: int
    factor: Floats
    addend: Floats


@rewrite(Stage.FUSION)
def affine(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """x * gamma + beta and (x - mean) / deviation by channel are one BatchNorm."""
    count = 0
    for node in graph.nodes:
        if node.graph is None or (first := channel_step(node)) is None:
            continue
        steps = _chain(first)
        if len(steps) > 1 and any(step.node.op_type in ("Mul", "Div") for step in steps):
            _replace(graph, steps)
            count += 1
    return count


def _chain(first: ChannelStep) -> list[ChannelStep]:
    """A step and those that follow it along the same axis, each its predecessor's only reader."""
    steps = [first]
    while (reader := only_reader(steps[-1].node.outputs[0])) is not None:
        step = channel_step(reader)
        if step is None or step.axis != first.axis:
            break
        steps.append(step)
    return steps


def _replace(graph: FloatGraph, steps: list[ChannelStep]) -> None:
    factor, addend = steps[0].factor, steps[0].addend
    center = -addend * factor  # (x - mean) / deviation: x is about the mean; a sum's factor is 1
    for step in steps[1:]:
        factor, addend = factor * step.factor, addend * step.factor + step.addend
    last = steps[-1].node
    consts = [
        constant(f"{last.name}/{kind}", values.astype(np.float32))
        for kind, values in (("factor", factor), ("addend", addend), ("center", center))
    ]
    for item in consts:
        graph.graph.register_initializer(item)
    inputs, result = [steps[0].source, *consts], last.outputs[0]
    insert_custom_op("Affine", last, inputs, result, {"axis": steps[0].axis})
    remove(*(step.node for step in reversed(steps)))


def channel_step(node: ir.Node) -> ChannelStep | None:
    """A node with a constant for each channel, of axis 1 or the last one; None if it is none."""
    if node.op_type not in ("Add", "Sub", "Mul", "Div") or node.domain:
        return None
    for place, (value, other) in enumerate((node.inputs, node.inputs[::-1])):
        array = array_of(other)
        if array is None or value is None or array_of(value) is not None:
            continue
        axis = _channel_axis(value, array.shape, node)
        if axis is None or (node.op_type == "Div" and (place or np.abs(array).min() < TINY)):
            return None
        return _of(node, value, axis, array.reshape(-1).astype(np.float64), swapped=bool(place))
    return None


def _channel_axis(value: ir.Value, sizes: tuple[int, ...], node: ir.Node) -> int | None:
    """The axis along which a constant of this shape varies, where channels may be."""
    shape = shape_of(value)
    along = [len(shape) - len(sizes) + axis for axis, size in enumerate(sizes) if size > 1]
    if len(along) != 1 or along[0] not in (1, len(shape) - 1) or len(shape) < 2:
        return None
    return along[0] if shape == shape_of(node.outputs[0]) else None


def _of(
    node: ir.Node, source: ir.Value, axis: int, numbers: Floats, *, swapped: bool
) -> ChannelStep:
    ones, zeros = np.ones_like(numbers), np.zeros_like(numbers)
    match node.op_type:
        case "Mul":
            factor, addend = numbers, zeros
        case "Div":
            factor, addend = 1.0 / numbers, zeros
        case "Add":
            factor, addend = ones, numbers
        case _:
            factor, addend = (-ones, numbers) if swapped else (ones, -numbers)
    return ChannelStep(node, source, axis, factor, addend)
