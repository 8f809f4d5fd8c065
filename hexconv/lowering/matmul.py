"""MatMul: by rank, within the library's actual limits.

QuantizedMatMul_8x8to32 needs a constant B of [1,1,K,N] and flattens A; QuantizedBatchMatMul_8x8to32
takes [B,H,M,K] x [B,H,K,N], constant or not, with no broadcasting and no check that K agrees
(docs/nnlib/quirks.md#matmul). The lowerings here handle everything else.
"""

from __future__ import annotations

from math import prod

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import UnsupportedOpError
from hexconv.lowering.broadcast import spread
from hexconv.lowering.context import Context
from hexconv.lowering.conv_emitter import ConvEmitter
from hexconv.lowering.registry import lowers
from hexconv.lowering.window import Window
from hexconv.nnlib.builder import RANGE_OUTPUTS, Tensor
from hexconv.nnlib.graph import Output, Ref
from hexconv.nnlib.layout import Layout, Shape4
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range, quantize_weights

INT32_LEVELS = 2.0**31
# On its vector path QuantizedMatMul returns wrong columns from 32 on when K is 16 or less.
NARROW_K, WIDE_N = 16, 32


@lowers("MatMul")
def matmul(node: NodeView, ctx: Context) -> None:
    """Constant 2-D B: QuantizedMatMul; everything else: QuantizedBatchMatMul."""
    left, right, output = node.input(0), node.input(1), node.outputs[0]
    weights = ctx.const(right)
    if weights is not None and weights.ndim == 2 and ctx.const(left) is None:
        _constant(ctx, left, np.asarray(weights, np.float32), right, output)
    else:
        _batched(ctx, left, right, output)


@lowers("Linear")
def linear(node: NodeView, ctx: Context) -> None:
    """x W + b as one 1x1 Supernode, rows on W: the bias and a ReLU cost nothing."""
    source, output = node.input(0), node.outputs[0]
    weights, bias = ctx.const(node.input(1)), ctx.const(node.input(2))
    assert weights is not None and bias is not None  # the fusion made it so
    layout = rows_layout(ctx, source)
    rows = ctx.take(source, layout)
    kernel = np.asarray(weights, np.float32)[None, None]
    axes = [Window(1, 1), Window(rows.shape[2], 1)]
    emitter = ConvEmitter(ctx, output, [1, rows.shape[2]])
    tensor = emitter.dense(rows, kernel, np.asarray(bias, np.float32).reshape(-1), axes)
    order = [axis for axis in layout.order if axis != layout.rank - 1]
    ctx.bind_order(output, [*order, len(ctx.shape(output)) - 1], tensor)


@lowers("LinearOverHeads")
def linear_over_heads(node: NodeView, ctx: Context) -> None:
    """[B,H,T,dh] x [H*dh,N] + b to [B,T,N]: heads on H, and a kernel of the same height.

    Axes of size 1 may be missing from the result, or be anywhere in it.
    """
    source, output = node.input(0), node.outputs[0]
    weights, bias = ctx.const(node.input(1)), ctx.const(node.input(2))
    assert weights is not None and bias is not None  # the fusion made it so
    _, heads, rows, width = ctx.shape(source)
    tensor = ctx.take(source, Layout(((0,), (1,), (2,), (3,))))
    kernel = np.asarray(weights, np.float32).reshape(heads, 1, width, -1)
    emitter = ConvEmitter(ctx, output, [1, rows])
    axes = [Window(heads, heads), Window(rows, 1)]
    result = emitter.dense(tensor, kernel, np.asarray(bias, np.float32).reshape(-1), axes)
    ctx.bind_order(output, range(len(ctx.shape(output))), result)


def _constant(ctx: Context, left: str, weights: Array, name: str, output: str) -> None:
    """[..., K] x constant [K, N]."""
    depth, columns = weights.shape
    layout = rows_layout(ctx, left)
    rows = ctx.take(left, layout)
    if depth <= NARROW_K and columns > WIDE_N:
        accumulator = _batch_node(ctx, _flat(ctx, rows, left), _matrix(ctx, name, weights), output)
    else:
        accumulator = _matmul_node(ctx, rows, _matrix(ctx, name, weights), output)
    tensor = ctx.requantize32(accumulator, ctx.range(output), output)
    order = [axis for axis in layout.order if axis != layout.rank - 1]
    ctx.bind_order(output, [*order, len(ctx.shape(output)) - 1], tensor)


def rows_layout(ctx: Context, name: str) -> Layout:
    """[..., K] with K on D and all else on W: rows in their present order.

    Time on W is also cheapest: [1,T,1,K] costs 4.4 times [1,1,T,K]
    (docs/nnlib/costs.md#encoder).
    """
    rank = len(ctx.shape(name))
    last = rank - 1
    rows = tuple(axis for axis in ctx.form(name).layout.order if axis != last)
    return Layout(((), (), rows, (last,)))


def product_with_constant(
    ctx: Context, rows: Tensor, weights: Array, constant: str, name: str
) -> Tensor:
    """int32 [1,1,rows,N] of all rows along D and a constant [K,N], N not above WIDE_N.

    Args:
        ctx: the conversion.
        rows: uint8.
        weights: float32.
        constant: name of the weights.
        name: the tensor that it computes.
    """
    return _matmul_node(ctx, rows, _matrix(ctx, constant, weights), name)


def _flat(ctx: Context, tensor: Tensor, name: str) -> Tensor:
    shape: Shape4 = (1, 1, prod(tensor.shape[:3]), tensor.shape[3])
    return tensor if tensor.shape == shape else ctx.reshaped(tensor, shape, f"{name}/rows")


def _matrix(ctx: Context, name: str, weights: Array) -> Tensor:
    quantized = quantize_weights(weights)
    data = ctx.builder.const(name, quantized.codes, quantized.range)
    low, high = ctx.builder.minmax(name, quantized.range)
    shape: Shape4 = (1, 1, weights.shape[0], weights.shape[1])
    return Tensor(data, low, high, shape, quantized.range)


def _operands(left: Tensor, right: Tensor) -> list[Ref]:
    return [left.data, right.data, left.min, left.max, right.min, right.max]


def _matmul_node(ctx: Context, rows: Tensor, matrix: Tensor, name: str) -> Tensor:
    shape: Shape4 = (1, 1, prod(rows.shape[:3]), matrix.shape[3])
    return _accumulate(ctx, "QuantizedMatMul_8x8to32", rows, matrix, shape, name)


def _batch_node(ctx: Context, left: Tensor, right: Tensor, name: str) -> Tensor:
    b, h, m, _ = left.shape
    shape: Shape4 = (b, h, m, right.shape[3])
    return _accumulate(ctx, "QuantizedBatchMatMul_8x8to32", left, right, shape, name)


def _accumulate(
    ctx: Context, op: str, left: Tensor, right: Tensor, shape: Shape4, name: str
) -> Tensor:
    step = left.range.step * right.range.step
    node = ctx.builder.node(
        op, _operands(left, right), (Output(shape, "int32"), *RANGE_OUTPUTS), name=f"{name}/acc"
    )
    # The range of an int32 tensor: -2^31..2^31-1 times the product of the scales.
    return Tensor(
        Ref(node),
        Ref(node, 1),
        Ref(node, 2),
        shape,
        Range(step * INT32_LEVELS / 128.0, 128),
        max(left.source, right.source),
        "int32",
    )


def _batched(ctx: Context, left: str, right: str, output: str) -> None:
    """Any ranks that NumPy allows, on [B,H,M,K] x [B,H,K,N]."""
    a_shape, b_shape = ctx.shape(left), ctx.shape(right)
    a_view = a_shape if len(a_shape) > 1 else (1, *a_shape)
    b_view = b_shape if len(b_shape) > 1 else (*b_shape, 1)
    if a_view[-1] != b_view[-2]:
        raise UnsupportedOpError(f"K differs: {a_shape} x {b_shape}")
    batch = np.broadcast_shapes(a_view[:-2], b_view[:-2])
    groups = _batch_groups(batch, a_view[:-2], b_view[:-2])
    a = _batch_operand(ctx, left, a_view, len(batch), groups)
    b = _batch_operand(ctx, right, b_view, len(batch), groups)
    places: Shape4 = (
        prod(batch[i] for i in groups[0]),
        prod(batch[i] for i in groups[1]),
        1,
        1,
    )
    a = spread(ctx, a, (*places[:2], *a.shape[2:]), f"{left}/batch")
    b = spread(ctx, b, (*places[:2], *b.shape[2:]), f"{right}/batch")
    tensor = ctx.requantize32(_batch_node(ctx, a, b, output), ctx.range(output), output)
    full = (*batch, a_view[-2], b_view[-1])
    dropped = {i for i, s in ((len(batch), a_shape), (len(batch) + 1, b_shape)) if len(s) == 1}
    kept = [axis for axis in range(len(full)) if axis not in dropped]
    order = [*groups[0], *groups[1], *range(len(batch), len(full))]
    ctx.bind_order(output, [kept.index(axis) for axis in order if axis in kept], tensor)


def _batch_groups(
    batch: tuple[int, ...], left: tuple[int, ...], right: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The batch axes for B and for H, so that each of the two broadcasts as a whole."""
    rank = len(batch)
    padded = [(1,) * (rank - len(s)) + s for s in (left, right)]
    for cut in range(max(rank - 1, 0), -1, -1):
        groups = tuple(range(cut)), tuple(range(cut, rank))
        if all(
            prod(shape[i] for i in group) in (1, prod(batch[i] for i in group))
            for shape in padded
            for group in groups
        ):
            return groups
    raise UnsupportedOpError(
        f"a batched MatMul of {left} x {right} that broadcasts over more than two runs of axes",
        hint="reshape the operands so that at most two batch axes are left",
    )


def _batch_operand(
    ctx: Context,
    name: str,
    view: tuple[int, ...],
    rank: int,
    groups: tuple[tuple[int, ...], tuple[int, ...]],
) -> Tensor:
    """An operand as [B, H, rows, columns]; constants are quantized as weights are."""
    missing = rank + 2 - len(view)
    shape = (1,) * missing + view
    layout = Layout((groups[0], groups[1], (rank,), (rank + 1,)))
    array = ctx.const(name)
    if array is not None:
        packed = layout.pack(np.asarray(array, np.float32).reshape(shape))
        quantized = quantize_weights(packed)
        low, high = ctx.builder.minmax(name, quantized.range)
        data = ctx.builder.const(name, quantized.codes, quantized.range)
        return Tensor(data, low, high, layout.shape(shape), quantized.range)
    return ctx.take(ctx.view(name, shape), layout)
