"""Add, Sub, Mul, Div, Max, Min and their n-ary variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, log2

import numpy as np

from hexconv.annotations import notes_of
from hexconv.arrays import Array
from hexconv.errors import UnsupportedOpError
from hexconv.lowering.broadcast import common_layout, operand, spread
from hexconv.lowering.channelwise import multiplied
from hexconv.lowering.context import Context, lanes, memory_order
from hexconv.lowering.mean_of_run import is_mean_of
from hexconv.lowering.range_limits import (
    LARGEST_MOVE,
    NARROWEST,
    always_fits,
    centering_fits,
    is_narrow,
    request,
)
from hexconv.lowering.registry import lowers
from hexconv.nnlib.builder import RangeSource, Tensor, ranges_of
from hexconv.nnlib.layout import Shape4
from hexconv.onnx_graph import NodeView
from hexconv.quantize import LARGEST_NUMBER, Range, cover
from hexconv.quantize.ranges import LEVELS

BINARY = {
    "Add": "QuantizedAdd_8p8to8",
    "Sub": "QuantizedSub_8p8to8",
    "Mul": "QuantizedMul_8x8to8",
    "Max": "QuantizedMaximum_8",
    "Min": "QuantizedMinimum_8",
}


SUMS_AND_PRODUCTS = ("Add", "Sub", "Mul")


@lowers(*SUMS_AND_PRODUCTS)
def binary(node: NodeView, ctx: Context) -> None:
    """One nnlib op with a static output range; ONNX broadcasting."""
    pair = node.input(0), node.input(1)
    if node.op == "Mul" and any(
        multiplied(ctx, source, ctx.const(other), node.outputs[0])
        for source, other in (pair, pair[::-1])
    ):
        return
    zero = notes_of(node.node).grid_zero
    if zero is None:
        _combine(node, ctx, node.op, pair)
    else:
        _by_levels(node, ctx, zero)


@lowers("Max", "Min")
def extremum(node: NodeView, ctx: Context) -> None:
    """Two operands per node, as many nodes as needed."""
    _combine(node, ctx, node.op, [node.input(i) for i in range(len(node.inputs))])


@lowers("Sum")
def total(node: NodeView, ctx: Context) -> None:
    """A chain of additions."""
    _combine(node, ctx, "Add", [node.input(i) for i in range(len(node.inputs))])


@lowers("Div")
def divide(node: NodeView, ctx: Context) -> None:
    """A division by a constant is a product with its reciprocal.

    Divisions by computed tensors became Mul with Reciprocal before (decompose/divide.py).
    """
    numerator, divisor = node.input(0), ctx.const(node.input(1))
    if divisor is None:
        raise UnsupportedOpError("a division by a computed tensor", why="it was not decomposed")
    if not np.all(divisor):
        raise UnsupportedOpError("a division by zero", hint="remove the zero from the divisor")
    name, output = f"{node.outputs[0]}/reciprocal", node.outputs[0]
    reciprocal = reciprocal_of(divisor)
    if multiplied(ctx, numerator, reciprocal, output):
        return
    layout = common_layout(ctx, [numerator, node.input(1)], output)
    left = operand(ctx, numerator, layout, ctx.shape(output))
    padded = reciprocal.reshape((1,) * (layout.rank - reciprocal.ndim) + reciprocal.shape)
    right = ctx.const_tensor(name, layout.pack(padded))
    shape = layout.shape(ctx.shape(output))
    ctx.bind(output, layout, emit(ctx, "Mul", left, right, shape, ctx.range(output), output))


def reciprocal_of(divisor: Array) -> Array:
    """float32.

    Raises:
        UnsupportedOpError: it is beyond what the library computes with.
    """
    least = np.abs(divisor).min(initial=1.0)
    if least < 1 / LARGEST_NUMBER:
        raise UnsupportedOpError(
            f"a division by {least:g}",
            why=f"its reciprocal is beyond {LARGEST_NUMBER:g}",
            hint="scale the numbers in the model",
        )
    return (1.0 / divisor.astype(np.float64)).astype(np.float32)


def _combine(node: NodeView, ctx: Context, op: str, names: Sequence[str]) -> None:
    output = node.outputs[0]
    shape = ctx.shape(output)
    if len(names) == 1:
        ctx.relabel(names[0], output, ctx.form(names[0]).layout.order)
        return
    aligned = _aligned(ctx, names, shape)
    if aligned is None:
        layout = common_layout(ctx, names, output)
        operands = [operand(ctx, name, layout, shape) for name in names]
    else:
        operands, order = aligned
    result = operands[0]
    for position, other in enumerate(operands[1:], start=1):
        last = position == len(names) - 1
        label = output if last else f"{output}/{position}"
        value_range = ctx.range(output) if last else partial_range(op, result.range, other.range)
        size = _broadcast(result.shape, other.shape)
        centers = op == "Sub" and is_mean_of(node.node.inputs[1], node.node.inputs[0])
        result = emit(ctx, op, result, other, size, value_range, label, centers=centers)
    if aligned is not None:
        ctx.bind_order(output, order, result)
        return
    full = layout.shape(shape)
    ctx.bind(output, layout, spread(ctx, result, full, f"{output}/spread"))


def _aligned(
    ctx: Context, names: Sequence[str], shape: tuple[int, ...]
) -> tuple[list[Tensor], list[int]] | None:
    """Operands that need no broadcasting except of scalars, in one 4-D shape, and their order.

    None where they are laid out in different orders, or broadcast. Which axis is B, H, W or D does
    not matter then: the shape that fills the vectors best is used for all.
    """
    computed = [name for name in names if ctx.const(name) is None]
    orders = [memory_order(ctx.form(name).layout, ctx.shape(name)) for name in computed]
    numbers = [array for name in names if (array := ctx.const(name)) is not None]
    if (
        any(ctx.shape(name) != shape for name in computed)
        or any(order != orders[0] for order in orders)
        or any(array.size != 1 for array in numbers)
    ):
        return None
    sizes = min((ctx.form(name).tensor.shape for name in computed), key=lanes)
    tensors = []
    for name in names:
        array = ctx.const(name)
        if array is None:
            tensors.append(ctx.in_shape(name, sizes))
        else:
            number = np.asarray(array, np.float32).reshape(1, 1, 1, 1)
            tensors.append(ctx.const_tensor(name, number))
    return tensors, orders[0]


def emit(
    ctx: Context,
    op: str,
    left: Tensor,
    right: Tensor,
    shape: Shape4,
    value_range: Range,
    name: str,
    *,
    centers: bool = False,
) -> Tensor:
    """One binary node with a static output range.

    Args:
        ctx: the conversion.
        op: a key of BINARY.
        left: first operand.
        right: second operand.
        shape: BHWD of the result.
        value_range: requested for the result.
        name: the tensor that it computes.
        centers: whether `right` is the mean of `left`.
    """
    if shape not in (left.shape, right.shape):
        # None of them lets both operands broadcast against each other with a requested range.
        left = spread(ctx, left, shape, f"{name}/left")
    if op in SUMS_AND_PRODUCTS and is_narrow(value_range):
        return _enlarged(ctx, op, (left, right), shape, value_range, name)
    if op in ("Max", "Min"):
        left = _saturated(ctx, left, value_range, f"{name}/left")
        right = _saturated(ctx, right, value_range, f"{name}/right")
    if not (centers and _centers(left, right, value_range)):
        left, right = _static_where_needed(ctx, op, left, right, value_range, name)
    given = request(op, left.range, right.range, value_range)
    inputs = [left.data, right.data, left.min, left.max, right.min, right.max]
    if given == value_range:
        inputs += ctx.builder.minmax(name, value_range)
        return ctx.builder.quantized(BINARY[op], inputs, shape, value_range, name=name)
    inputs += ctx.builder.minmax(f"{name}/wide", given)
    wide = ctx.builder.quantized(
        BINARY[op], inputs, shape, given, name=f"{name}/wide", keeps_range=True
    )
    return ctx.requantize8(wide, value_range, name)


def _enlarged(
    ctx: Context,
    op: str,
    operands: tuple[Tensor, Tensor],
    shape: Shape4,
    value_range: Range,
    name: str,
) -> Tensor:
    """A result in a range that the library would widen: of operands times a power of two."""
    factor = 2.0 ** ceil(log2(NARROWEST / (value_range.max - value_range.min)) + 1.0)
    left, right = (
        ctx.fixed(tensor, f"{name}/{side}")
        for tensor, side in zip(operands, ("left", "right"), strict=True)
    )
    left = ctx.rescaled(left, factor, f"{name}/left_enlarged")
    if op != "Mul":
        right = ctx.rescaled(right, factor, f"{name}/right_enlarged")
    large = emit(ctx, op, left, right, shape, value_range.scaled(factor), f"{name}/enlarged")
    return ctx.rescaled(large, 1.0 / factor, name)


def _saturated(ctx: Context, tensor: Tensor, value_range: Range, name: str) -> Tensor:
    """An operand of Max or Min that is far louder than the result, in the result's range.

    The minimum of two numbers that saturate is what their minimum saturates to.
    """
    if max(came.step for came in ranges_of(tensor)) <= LARGEST_MOVE * value_range.step:
        return tensor
    return ctx.requantize8(tensor, value_range, name, keeps_range=True)


def _centers(left: Tensor, right: Tensor, value_range: Range) -> bool:
    """Whether a difference to a mean is right in all ranges of both, which go together."""
    if right.widest is None:
        return False
    asked = request("Sub", left.range, right.range, value_range)
    return centering_fits(ranges_of(left), right.range, right.widest, asked)


def _static_where_needed(
    ctx: Context, op: str, left: Tensor, right: Tensor, value_range: Range, name: str
) -> tuple[Tensor, Tensor]:
    """Both operands, requantized to their calibrated ranges if other ranges would not do.

    A tensor whose range each run decides comes in others than the one that calibration saw; the
    range requested of the result must suit them all.
    """
    if RangeSource.RUN_TIME not in (left.source, right.source):
        return left, right
    asked = request(op, left.range, right.range, value_range)
    comes = [ranges_of(tensor) for tensor in (left, right)]
    if always_fits(op, comes[0], comes[1], asked):
        return left, right
    one = ctx.fixed(left, f"{name}/left")
    return one, one if left == right else ctx.fixed(right, f"{name}/right")


def _by_levels(node: NodeView, ctx: Context, zero: int) -> None:
    """A Sub of a mean in the levels of its first operand, whichever range they have in a run.

    The result's range is as wide as that in each run: three floats compute it.
    """
    output, names = node.outputs[0], [node.input(0), node.input(1)]
    shape, layout = ctx.shape(output), common_layout(ctx, names, output)
    left, right = (operand(ctx, name, layout, shape) for name in names)
    of_run = left.min, left.max
    left = ctx.as_calibrated(left, names[0])
    given = Range(left.range.step, zero)
    result = emit(ctx, "Sub", left, right, layout.shape(shape), given, f"{output}/levels")
    ctx.builder.mark_by_levels(result)
    number, scalar = ctx.builder.number, ctx.builder.scalar
    width = number("Sub_f", of_run[1], of_run[0], f"{output}/width")
    parts = ((f"{output}_min", -zero / LEVELS), (f"{output}_max", 1.0 - zero / LEVELS))
    low, high = (number("Mul_f", width, scalar(f"{name}_part", part), name) for name, part in parts)
    ctx.bind(output, layout, replace(result, min=low, max=high, source=RangeSource.RUN_TIME))


def partial_range(op: str, left: Range, right: Range) -> Range:
    """The possible range of an n-ary op's intermediate result, from its operands' ranges."""
    if op == "Add":
        return cover(left.min + right.min, left.max + right.max)
    pick = max if op == "Max" else min
    return cover(pick(left.min, right.min), pick(left.max, right.max))


def _broadcast(left: Shape4, right: Shape4) -> Shape4:
    b, h, w, d = (max(a, c) for a, c in zip(left, right, strict=True))
    return b, h, w, d
