"""Comparisons, logic on their results, and Where.

A mask is a uint8 tensor of the values 0 and 1 in the range 0..255: exact as a number too, so that
ops that move or cast data treat it like any other tensor. The library's compare ops return it
without a range (docs/nnlib/quirks.md#operands).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.lowering.broadcast import common_layout, operand, spread
from hexconv.lowering.context import Context
from hexconv.lowering.elementwise import emit
from hexconv.lowering.registry import Tie, lowers
from hexconv.lowering.slice_concat import sliced, tiled
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.graph import Output, Ref
from hexconv.nnlib.layout import SINGLE, Layout, Shape4
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range, cover, encode
from hexconv.quantize.ranges import LEVELS

MASK = Range(1.0, 0)
COMPARE = {
    "Equal": "QuantizedEqual_8",
    "Less": "QuantizedLess_8",
    "LessOrEqual": "QuantizedLessEqual_8",
    "Greater": "QuantizedGreater_8",
    "GreaterOrEqual": "QuantizedGreaterEqual_8",
}
SWAPPED = {
    "Equal": "Equal",
    "Less": "Greater",
    "LessOrEqual": "GreaterOrEqual",
    "Greater": "Less",
    "GreaterOrEqual": "LessOrEqual",
}
MIRRORED = {
    **{COMPARE[op]: COMPARE[swapped] for op, swapped in SWAPPED.items()},
    "QuantizedNotEqual_8": "QuantizedNotEqual_8",
}
"""The op that says the same with its operands swapped."""
# Values of two ranges are compared as floats, with scales of at least 0.0001 (op_compare_8.c).
SMALLEST_STEP = 2.0**-13
# A number this close to a level is that level: ranges are a little wider than what was observed.
ON_CODE = 0.02


@lowers(*COMPARE)
def compare(node: NodeView, ctx: Context) -> None:
    """With a constant: compare quantized values. Two tensors: each value in its own range."""
    op, names, output = node.op, [node.input(0), node.input(1)], node.outputs[0]
    if ctx.const(names[0]) is not None:
        op, names = SWAPPED[op], names[::-1]
    number = ctx.const(names[1])
    scalar = number is not None and number.size == 1 and number.dtype.kind == "f"
    if number is not None and scalar and ctx.shape(names[0]) == ctx.shape(output):
        _threshold(ctx, op, names[0], float(number.reshape(-1)[0]), output)
        return
    layout = common_layout(ctx, names, output)
    shape = layout.shape(ctx.shape(output))
    grid = _whole_numbers(ctx, *names)
    if grid is None:
        left, right = (_still(ctx, name, layout, ctx.shape(output)) for name in names)
        left, right = _comparable(ctx, op, left, right, output)
    else:
        moving = operand(ctx, names[0], layout, ctx.shape(output))
        left = ctx.requantize8(moving, grid, f"{output}/left")
        right = _packed(ctx, names[1], layout, ctx.shape(output), grid)
    if left.range == right.range:
        # A single value of 0 is compared incorrectly (op_compare_8.c, compare_hvx_template).
        left, right = (
            spread(ctx, t, shape, output) if t.shape == SINGLE else t for t in (left, right)
        )
    ctx.bind(output, layout, emit_mask(ctx, COMPARE[op], left, right, shape, output))


def emit_mask(
    ctx: Context, op: str, left: Tensor, right: Tensor, shape: Shape4, name: str
) -> Tensor:
    """One compare node; its one output gets the range of masks.

    A single number of 0 would be compared with uninitialized memory (op_compare_8.c): two of one
    range are compared twice, side by side.
    """
    if left.shape == shape == SINGLE and left.range == right.range:
        pair: Shape4 = (1, 1, 1, 2)
        left, right = (tiled(ctx, t, pair, f"{name}/pair") for t in (left, right))
        return sliced(ctx, emit_mask(ctx, op, left, right, pair, f"{name}/pair"), 3, 0, 1, name)
    return _mask(ctx, op, left, right, shape, name)


def _mask(ctx: Context, op: str, left: Tensor, right: Tensor, shape: Shape4, name: str) -> Tensor:
    inputs = [left.data, right.data, left.min, left.max, right.min, right.max]
    node = ctx.builder.node(op, inputs, (Output(shape, "uint8"),), name=name)
    return Tensor(Ref(node), *ctx.builder.minmax(name, MASK), shape, MASK)


def _threshold(ctx: Context, op: str, source: str, number: float, output: str) -> None:
    """x against a constant, on quantized values."""
    form = ctx.form(source)
    tensor = ctx.pinned(source, form.tensor)
    test, code = code_test(op, number, tensor.range)
    ctx.bind_order(output, form.layout.order, _test(ctx, COMPARE[test], tensor, code, output))


def _test(ctx: Context, op: str, tensor: Tensor, code: int, output: str) -> Tensor:
    """A tensor against a code from 1 to 255: a 0 is none that the library compares right.

    A single number may be 0 in a run. It is read where the other operand is a single one (nn_
    check_prepare_hvx_opt), which the code is.
    """
    number = _code(ctx, code, tensor.range, f"{output}/threshold")
    if tensor.shape == SINGLE:
        return _mask(ctx, MIRRORED[op], number, tensor, SINGLE, output)
    return _mask(ctx, op, tensor, number, tensor.shape, output)


def code_test(op: str, number: float, value_range: Range) -> tuple[str, int]:
    """The (compare op, level of 1 to 255) equivalent to `op number` in `value_range`."""
    place = number / value_range.step + value_range.zero
    nearest = round(place) if math.isfinite(place) else place
    if number and abs(place - value_range.zero) < ON_CODE:
        # 0 is a level, what is next to it is not: a Relu's zeros are below any number above 0.
        place = value_range.zero + math.copysign(0.5, number)
    exact = abs(place - nearest) < ON_CODE
    if op == "Equal":
        code = int(min(max(nearest, -1), 256))
        if code == 0:
            return "Less", 1
        return ("Equal", code) if 0 < code < 256 else ("Greater", 255)
    # The first level for which x >= number, and for which x > number.
    at_least = nearest if exact else math.ceil(place) if math.isfinite(place) else place
    above = nearest + 1 if exact else at_least
    first = at_least if op in ("GreaterOrEqual", "Less") else above
    upper = op in ("Greater", "GreaterOrEqual")
    if first <= 0:
        return ("LessOrEqual" if upper else "Greater"), 255
    if first > 255:
        return ("Greater" if upper else "LessOrEqual"), 255
    return ("GreaterOrEqual" if upper else "Less"), int(first)


def _code(ctx: Context, code: int, value_range: Range, name: str) -> Tensor:
    shape: Shape4 = (1, 1, 1, 1)
    data = ctx.builder.const(name, np.full(shape, code, np.uint8), value_range)
    return Tensor(data, *ctx.builder.minmax(name, value_range), shape, value_range)


def _whole_numbers(ctx: Context, source: str, const: str) -> Range | None:
    """A range in which whole numbers are levels, where a constant has nothing else.

    Positions are compared with a length: half a level decides whether the last one is below it.
    """
    array = ctx.const(const)
    if array is None or array.dtype.kind != "f" or not (array == np.rint(array)).all():
        return None
    seen = ctx.range(source)
    low = math.floor(min(float(array.min()), seen.min + ON_CODE, 0.0))
    high = math.ceil(max(float(array.max()), seen.max - ON_CODE, 0.0))
    parts = LEVELS // max(high - low, 1)
    return Range(1.0 / parts, -low * parts) if parts else None


def _packed(
    ctx: Context, name: str, layout: Layout, shape: tuple[int, ...], value_range: Range
) -> Tensor:
    """A constant in a given range."""
    array = np.asarray(ctx.const(name), np.float32)
    padded = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    return _constant(ctx, name, layout.pack(padded), value_range)


def _still(ctx: Context, name: str, layout: Layout, shape: tuple[int, ...]) -> Tensor:
    """An operand with a static range; a constant of booleans as a mask."""
    array = ctx.const(name)
    if array is not None and array.dtype == np.bool_:
        return _packed(ctx, name, layout, shape, MASK)
    return ctx.pinned(name, operand(ctx, name, layout, shape))


def _constant(ctx: Context, name: str, packed: Array, value_range: Range) -> Tensor:
    """A constant in a given range, clipped to it."""
    clipped = np.clip(packed, np.float32(value_range.min), np.float32(value_range.max))
    data = ctx.builder.const(name, encode(clipped, value_range), value_range)
    b, h, w, d = packed.shape
    return Tensor(data, *ctx.builder.minmax(name, value_range), (b, h, w, d), value_range)


def _comparable(
    ctx: Context, op: str, left: Tensor, right: Tensor, name: str
) -> tuple[Tensor, Tensor]:
    """Equal: both in one range, equal within 1 LSB. Others: the scale must be large enough."""
    if left.range == right.range:
        return left, right
    if op == "Equal":
        value_range = cover(
            min(left.range.min, right.range.min), max(left.range.max, right.range.max)
        )
        return ctx.requantize8(left, value_range, f"{name}/left"), ctx.requantize8(
            right, value_range, f"{name}/right"
        )
    factor = 1.0
    while min(left.range.step, right.range.step) * factor < SMALLEST_STEP:
        factor *= 2.0
    if factor == 1.0:
        return left, right
    return ctx.rescaled(left, factor, f"{name}/left"), ctx.rescaled(right, factor, f"{name}/right")


@lowers("And", "Or", "Xor")
def logic(node: NodeView, ctx: Context) -> None:
    """The smaller, the larger, and whether two masks differ."""
    names, output = [node.input(0), node.input(1)], node.outputs[0]
    layout = common_layout(ctx, names, output)
    shape = layout.shape(ctx.shape(output))
    left, right = (_still(ctx, name, layout, ctx.shape(output)) for name in names)
    if node.op == "Xor":
        left, right = (spread(ctx, t, shape, output) for t in (left, right))
        result = emit_mask(ctx, "QuantizedNotEqual_8", left, right, shape, output)
    else:
        op = {"And": "Min", "Or": "Max"}[node.op]
        result = emit(ctx, op, left, right, shape, MASK, output)
    ctx.bind(output, layout, result)


@lowers("Not")
def negation(node: NodeView, ctx: Context) -> None:
    """Whether the value is below 1."""
    source, output = node.input(0), node.outputs[0]
    form = ctx.form(source)
    result = _test(ctx, "QuantizedLess_8", form.tensor, 1, output)
    ctx.bind_order(output, form.layout.order, result)


@lowers("Where", tie=Tie.PICK)
def where(node: NodeView, ctx: Context) -> None:
    """Select_8: operands tiled to one shape, both branches in the range of the result.

    Then the range that the library returns, the union of theirs, is that of the result. Values
    that the mask never selects may be outside of it: they are clipped.
    """
    names, output = [node.input(i) for i in range(3)], node.outputs[0]
    shape, value_range = ctx.shape(output), ctx.range(output)
    layout = common_layout(ctx, names, output)
    spans: Sequence[Range] = (MASK, value_range, value_range)
    condition, x, y = (
        _whole(ctx, name, layout, shape, own) for name, own in zip(names, spans, strict=True)
    )
    inputs = [condition.data, *x.data_min_max, *y.data_min_max]
    result = ctx.builder.quantized(
        "Select_8", inputs, layout.shape(shape), value_range, name=output
    )
    ctx.bind(output, layout, result)


def _whole(
    ctx: Context, name: str, layout: Layout, shape: tuple[int, ...], value_range: Range
) -> Tensor:
    """An operand in full shape and in the given range."""
    array = ctx.const(name)
    if array is not None:
        full = np.broadcast_to(np.asarray(array, np.float32), shape)
        return _constant(ctx, name, layout.pack(full), value_range)
    tensor = operand(ctx, name, layout, shape)
    if tensor.range != value_range or not tensor.static:
        tensor = ctx.requantize8(tensor, value_range, f"{name}/requantized")
    return spread(ctx, tensor, layout.shape(shape), f"{name}/spread")


@lowers("Cast")
def cast(node: NodeView, ctx: Context) -> None:
    """A mask in the range of numbers; a number is true where it is not the zero point."""
    node.attr("to")
    source, output = node.input(0), node.outputs[0]
    form = ctx.form(source)
    if node.node.outputs[0].dtype != ir.DataType.BOOL:
        number = ctx.requantize8(form.tensor, ctx.range(output), output)
        ctx.bind_order(output, form.layout.order, number)
        return
    tensor = ctx.pinned(source, form.tensor)
    zero = tensor.range.zero
    op, code = ("QuantizedNotEqual_8", zero) if zero else ("QuantizedGreaterEqual_8", 1)
    ctx.bind_order(output, form.layout.order, _test(ctx, op, tensor, code, output))
