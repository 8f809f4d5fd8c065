"""What quantizers do whose integers have no single scale: to floats, number by number.

QuantizeLinear with a scale for each channel or block and DequantizeLinear of the same scales clamp
each channel to what its integers can hold. Other readers get arithmetic on the float that was
quantized: value / scale + zero point, within the ends of the integers, read with their own scale.
The range of DynamicQuantizeLinear is that of its values in each run: nothing is clamped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.arrays import FLOAT32_MAX
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.codes import dtype_of, ends_of
from hexconv.onnx_graph.intervals import interval
from hexconv.onnx_graph.quantized_outputs import is_cast_to_float
from hexconv.onnx_graph.selections import SELECTIONS
from hexconv.onnx_graph.uses import leads_only_to
from hexconv.quantize import Bounds
from hexconv.quantize.ranges import LEVELS

Floats = npt.NDArray[np.float64]
LEAST_SCALE = float(np.finfo(np.float32).tiny)
"""Whose inverse is a float32."""
BOUNDING = {"Clip", "Max", "Min", "Relu"}
"""Ops on integers between a quantizer and what makes floats of them again."""


class Steps(NamedTuple):
    """Scales and zero points, each broadcast against the tensor, ends of the integers' type."""

    scale: Floats
    zero: Floats
    ends: Bounds

    def same(self, other: Steps) -> bool:
        """Whether integers stand for the same numbers."""
        return np.array_equal(self.scale, other.scale) and np.array_equal(self.zero, other.zero)

    @property
    def by_block(self) -> bool:
        """Whether scales differ along more than one axis."""
        return bool(sum(size > 1 for size in self.scale.shape) > 1)


class Reader(NamedTuple):
    """A node that makes floats of integers, which ops before it bound to `low` and `high`."""

    node: ir.Node
    steps: Steps
    low: float
    high: float


class Range(NamedTuple):
    """The range of a new tensor, and whether it may have room to spare."""

    bounds: Bounds
    wide: bool


def replaced(node: ir.Node, builder: FloatBuilder) -> dict[ir.Value, Range]:
    """Let the readers of a QuantizeLinear with many scales read floats.

    Args:
        node: a QuantizeLinear without one constant scale.
        builder: of its graph.

    Returns:
        The ranges of the new tensors; nothing where anything but floats is made of the integers.
    """
    source, steps = node.inputs[0], _steps(node)
    if source is None or steps is None:
        return {}
    readers = _readers(node.outputs[0], steps, *steps.ends) or []
    if steps.by_block and not all(reader.steps.same(steps) for reader in readers):
        return {}  # factors of each element, in one range of 8 bits, would cost most of them
    found: dict[ir.Value, Range] = {}
    for reader in readers:
        builder.at(node)
        if reader.steps.same(steps):
            value = _clamped(source, reader, builder, found)
        else:
            value = _rescaled(source, steps, reader, builder, found)
        builder.replace(reader.node, [value])
    return found


def without_dynamic(builder: FloatBuilder) -> None:
    """Remove each DynamicQuantizeLinear whose integers are moved and made floats again.

    Args:
        builder: of a graph in canonical form.
    """
    for node in list(builder.graph):
        if node.op_type == "DynamicQuantizeLinear" and not node.domain:
            _without(node, builder)


def _steps(node: ir.Node) -> Steps | None:
    """What a node's integers stand for; None where a scale is computed, or is no scale."""
    scale, dtype = array_of(node.inputs[1]), dtype_of(node)
    zero: npt.NDArray[np.generic] | None = np.zeros((), np.float64)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        zero = array_of(node.inputs[2])
        dtype = None if zero is None else zero.dtype
    if scale is None or zero is None or dtype is None or dtype.itemsize > 2:
        return None
    if not (np.isfinite(scale).all() and (scale >= LEAST_SCALE).all()):
        return None
    shape = shape_of(node.outputs[0])
    scales, zeros = (_spread(np.asarray(item, np.float64), node, shape) for item in (scale, zero))
    return Steps(scales, zeros, ends_of(dtype))


def _spread(numbers: Floats, node: ir.Node, shape: tuple[int, ...]) -> Floats:
    """One number, one a channel or one a block, as an array that broadcasts against a shape."""
    if numbers.size == 1:
        return numbers.reshape(())
    given, block = (node.attributes.get(name) for name in ("axis", "block_size"))
    axis = (1 if given is None else given.as_int()) % len(shape)
    if numbers.ndim > 1:
        size = 1 if block is None else block.as_int()
        return np.repeat(numbers, size, axis)[(slice(None),) * axis + (slice(shape[axis]),)]
    return numbers.reshape([-1 if position == axis else 1 for position in range(len(shape))])


def _readers(value: ir.Value, steps: Steps, low: float, high: float) -> list[Reader] | None:
    """Every node that makes floats of integers; None where others read them."""
    if value.is_graph_output():
        return None
    found: list[Reader] = []
    for use in value.uses():
        behind = _behind(use.node, use.idx, steps, low, high)
        if behind is None:
            return None
        found += behind
    return found


def _behind(
    node: ir.Node, position: int, steps: Steps, low: float, high: float
) -> list[Reader] | None:
    """What makes floats of what a node makes of integers that it reads at a position."""
    if node.domain:
        return None
    if is_cast_to_float(node):
        own = Steps(np.ones(()), np.zeros(()), steps.ends)
        return [Reader(node, own, low, high)]
    if node.op_type == "DequantizeLinear" and position == 0:
        read = _steps(node)
        return None if read is None else [Reader(node, read, low, high)]
    bounds = _bounds(node, position)
    if bounds is None:
        return None
    ends = (float(end) for end in np.clip((low, high), *bounds))
    return _readers(node.outputs[0], steps, *ends)


def _bounds(node: ir.Node, position: int) -> Bounds | None:
    """What a node bounds integers to; None where it does not, or not by single numbers."""
    others = [item for at, item in enumerate(node.inputs) if item is not None and at != position]
    arrays = [array_of(item) for item in others]
    if node.op_type not in BOUNDING or any(a is None or a.size != 1 for a in arrays):
        return None
    numbers = [float(array.item()) for array in arrays if array is not None]
    if node.op_type == "Relu":
        return 0.0, np.inf
    if node.op_type == "Clip":
        low, high = (array_of(item) for item in [*node.inputs[1:], None, None][:2])
        least = -np.inf if low is None else float(low.item())
        most = np.inf if high is None else float(high.item())
        return min(least, most), most
    return (max(numbers), np.inf) if node.op_type == "Max" else (-np.inf, min(numbers))


def _clamped(
    source: ir.Value, reader: Reader, builder: FloatBuilder, found: dict[ir.Value, Range]
) -> ir.Value:
    """The float within what the integers of each channel stand for."""
    scale, zero, _ = reader.steps
    lows, highs = ((end - zero) * scale for end in (reader.low, reader.high))
    least, most = interval(source)
    value = source
    if (lows > least + scale).any():
        value = _bounded("Max", value, lows, builder)
        found[value] = Range((float(lows.min()), float(highs.max())), True)
    if (highs < most - scale).any():
        value = _bounded("Min", value, highs, builder)
        found[value] = Range((max(float(lows.min()), least), float(highs.max())), True)
    return value


def _bounded(op: str, value: ir.Value, ends: Floats, builder: FloatBuilder) -> ir.Value:
    """A bound for each channel, or one for all."""
    limits = np.clip(ends, -FLOAT32_MAX, FLOAT32_MAX).astype(np.float32)
    if (limits != limits.flat[0]).any():
        return builder.op(op, [value, limits])
    one = limits.flat[0]
    return builder.op("Clip", [value, one] if op == "Max" else [value, None, one])


def _rescaled(
    source: ir.Value,
    steps: Steps,
    reader: Reader,
    builder: FloatBuilder,
    found: dict[ir.Value, Range],
) -> ir.Value:
    """The float of integers that are read with other scales or zero points, or as they are."""
    value = builder.op("Mul", [source, np.float32(1.0 / steps.scale)])
    value = builder.op("Add", [value, np.float32(steps.zero)])
    ends = reader.low, reader.high
    value = builder.op("Clip", [value, *np.array(ends, np.float32)])
    found[value] = Range(ends, ends[1] - ends[0] > LEVELS)
    scale, zero, _ = reader.steps
    if zero.any():
        value = builder.op("Sub", [value, np.float32(zero)])
    return builder.op("Mul", [value, np.float32(scale)]) if (scale != 1.0).any() else value


def _without(node: ir.Node, builder: FloatBuilder) -> None:
    """Let what reads the integers read the float that they stand for."""
    source, (codes, *own) = node.inputs[0], node.outputs
    through: dict[ir.Node, None] = {}
    ends: dict[ir.Node, None] = {}

    def dequantizes(user: ir.Node, position: int) -> bool:
        same = user.op_type == "DequantizeLinear" and list(user.inputs[1:]) == own
        if same and position == 0:
            ends[user] = None
        return same and position == 0

    def moves(user: ir.Node, position: int) -> bool:
        kept = user.op_type in SELECTIONS and not user.domain and position == 0
        if kept:
            through[user] = None
        return kept

    if source is None or not leads_only_to(codes, dequantizes, moves):
        return
    builder.at(node)
    ir.convenience.replace_all_uses_with(codes, source)
    for user in (item for item in list(builder.graph) if item in through):
        builder.infer(user)
    for user in ends:
        builder.replace(user, [user.inputs[0]])
