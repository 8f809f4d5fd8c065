"""Float ops that move, window or multiply tensors (op_concat_f.c, op_pad.c, op_avgpool_f.c,
op_maxpool_f.c, op_conv2d_f.c, op_matmul_f.c)."""

from __future__ import annotations

import numpy as np

from hexconv import native
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.layout import Shape4
from hexconv.simulator.kernels.slice_pad import pad_rows
from hexconv.simulator.numerics.window import (
    bordered,
    covered,
    max_over_windows,
    pad_space,
    plan,
    plan_axis,
    taps,
)
from hexconv.simulator.registry import KernelCall, kernel


@kernel("Concat_f")
def concat(call: KernelCall) -> list[Array]:
    """Input 0 is the axis."""
    axis, parts = int(call.inputs[0].flat[0]), call.inputs[1:]
    if not 0 <= axis <= 3 or len({p.shape[:axis] + p.shape[axis + 1 :] for p in parts}) != 1:
        raise GraphError(f"these tensors do not join along axis {axis}", where=call.op)
    return [np.concatenate(parts, axis=axis)]


@kernel("Pad_f")
def pad(call: KernelCall) -> list[Array]:
    """Zeros around; n rows of pads are for the last n axes."""
    return [bordered(call.inputs[0], pad_rows(call.inputs[1], call.op), 0)]


def _needs_padding(call: KernelCall) -> None:
    if call.padding == Padding.NA:
        raise GraphError("a float pool needs a padding", where=call.op)


@kernel("AvgPool_f")
def avg_pool(call: KernelCall) -> list[Array]:
    """The mean over the part inside the tensor."""
    _needs_padding(call)
    height, width = plan(call, 1, 2)
    parts = taps(pad_space(call.inputs[0], height, width, 0.0), height, width)
    count = np.outer(covered(height), covered(width))[:, :, None].astype(np.float32)
    return [sum(parts[1:], parts[0]) / count]


@kernel("MaxPool_f")
def max_pool(call: KernelCall) -> list[Array]:
    """The maximum over the part inside the tensor."""
    _needs_padding(call)
    height, width = plan(call, 1, 2)
    padded = pad_space(call.inputs[0], height, width, -np.inf)
    return [max_over_windows(padded, height, width)]


@kernel("Conv2d_f")
def conv2d(call: KernelCall) -> list[Array]:
    """Filters as height, width, depth, out depth; zeros outside."""
    data, filters, stride = call.inputs[:3]
    rows, columns, depth, _ = filters.shape
    if depth != data.shape[3]:
        raise GraphError(f"filters of depth {depth} for depth {data.shape[3]}", where=call.op)
    height = plan_axis(data.shape[1], rows, stride.shape[1], call.padding, call.op)
    width = plan_axis(data.shape[2], columns, stride.shape[2], call.padding, call.op)
    parts = taps(pad_space(data, height, width, 0.0), height, width)
    flat = filters.reshape(rows * columns, depth, -1)
    products = [part @ flat[index] for index, part in enumerate(parts)]
    return [sum(products[1:], products[0])]


@kernel("MatMul_f")
def matmul(call: KernelCall) -> list[Array]:
    """b is 1,1,K,N; an a whose depth is not K is treated as rows of K."""
    a, b = call.inputs[:2]
    shape = product_shape(a.shape, b.shape)
    return [_in_order(a.reshape(-1, b.shape[2]), b[0, 0]).reshape(shape)]


def product_shape(a: tuple[int, ...], b: tuple[int, ...]) -> Shape4:
    """The shape of what MatMul_f makes of operands of these shapes."""
    if b[:2] != (1, 1):
        raise GraphError("the second factor of MatMul_f must be 2-d", where="MatMul_f")
    length, columns = b[2:]
    batches, height, width, depth = a
    if depth == length:
        return batches, height, width, columns
    if depth % length == 0:
        return batches, height, width * (depth // length), columns
    if height * width * depth % length == 0:
        return batches, 1, height * width * depth // length, columns
    raise GraphError(f"{a} by {b}: the inner sizes do not fit", where="MatMul_f")


def _in_order(rows: Array, matrix: Array) -> Array:
    """A matrix product whose terms are added one after another, each rounded, as a plain loop."""
    passes = native.library()
    if passes is not None:
        return passes.multiply_floats(rows, matrix)
    sums = np.zeros((rows.shape[0], matrix.shape[1]), np.float32)
    for k in range(rows.shape[1]):
        sums += rows[:, k : k + 1] * matrix[k]
    return sums
