"""Element-wise and reducing float ops (nnlib op_*_f.c): plain float32 C, followed to rounding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Padding
from hexconv.simulator.kernels.slice_pad import integers
from hexconv.simulator.numerics.fixed_point import F32
from hexconv.simulator.registry import KernelCall, kernel


@kernel("Add_f", "Sub_f", "Mul_f", "Maximum_f", "Minimum_f")
def binary(call: KernelCall) -> list[Array]:
    """Two operands, each size equal or 1 (`nn_elementwise_with_broadcast`)."""
    a, b = call.inputs[:2]
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise GraphError(f"{a.shape} and {b.shape} do not broadcast", where=call.op) from None
    functions = {
        "Add_f": np.add,
        "Sub_f": np.subtract,
        "Mul_f": np.multiply,
        "Maximum_f": np.fmax,
        "Minimum_f": np.fmin,
    }
    return [functions[call.op](a, b)]


@kernel("AddN_f")
def add_n(call: KernelCall) -> list[Array]:
    """The sum of tensors of one shape, in order."""
    if len({array.shape for array in call.inputs}) != 1:
        raise GraphError("AddN of tensors that differ in shape", where=call.op)
    total = call.inputs[0].copy()
    for array in call.inputs[1:]:
        total += array
    return [total]


@kernel("BiasAdd_f")
def bias_add(call: KernelCall) -> list[Array]:
    """A bias of shape 1,1,1,depth."""
    data, bias = call.inputs[:2]
    if bias.shape != (1, 1, 1, data.shape[3]):
        raise GraphError(f"a bias of shape {bias.shape} for depth {data.shape[3]}", where=call.op)
    return [data + bias]


@kernel("Neg_f", "Abs_f", "Floor_f", "Ceil_f", "Tanh_f", "Relu_f")
def unary(call: KernelCall) -> list[Array]:
    """One operand."""
    data = call.inputs[0]
    match call.op:
        case "Neg_f":
            return [-data]
        case "Abs_f":
            return [np.abs(data)]
        case "Floor_f":
            return [np.floor(data)]
        case "Ceil_f":
            return [np.ceil(data)]
        case "Tanh_f":
            return [in_double(np.tanh, data)]
    return [np.fmax(data, F32(0))]


@kernel("Sigmoid_f")
def sigmoid(call: KernelCall) -> list[Array]:
    """(1 + tanh(x/2)) / 2."""
    return [(F32(1) + in_double(np.tanh, call.inputs[0] * F32(0.5))) * F32(0.5)]


@kernel("ReluX_f")
def relu_x(call: KernelCall) -> list[Array]:
    """0 .. a positive limit."""
    limit = call.scalar(1)
    if not limit > 0:
        raise GraphError(f"ReluX with the limit {limit:g}; it must be positive", where=call.op)
    return [np.fmin(limit, np.fmax(call.inputs[0], F32(0)))]


@kernel("Clamp_f")
def clamp(call: KernelCall) -> list[Array]:
    """Between inputs 1 and 2."""
    return [np.fmin(call.scalar(2), np.fmax(call.inputs[0], call.scalar(1)))]


@kernel("PRelu_f")
def prelu(call: KernelCall) -> list[Array]:
    """One alpha, or one per channel."""
    data, alpha = call.inputs[0], call.inputs[1].reshape(-1)
    if alpha.size not in (1, data.shape[3]):
        raise GraphError(f"{alpha.size} alphas for depth {data.shape[3]}", where=call.op)
    return [np.where(data < 0, data * alpha, data)]


@kernel("Softmax_f")
def softmax(call: KernelCall) -> list[Array]:
    """exp(beta * (x - max)) by the reciprocal of its sum, along depth."""
    beta = call.scalar(1) if len(call.inputs) > 1 else F32(1)
    data = call.inputs[0]
    exponentials = in_double(np.exp, beta * (data - data.max(axis=3, keepdims=True)))
    return [exponentials * (F32(1) / _running_sum(exponentials, 3))]


@kernel("LogSoftmax_f")
def log_softmax(call: KernelCall) -> list[Array]:
    """x - max - log(sum(exp(x - max))), along depth."""
    shifted = call.inputs[0] - call.inputs[0].max(axis=3, keepdims=True)
    return [shifted - in_double(np.log, _running_sum(in_double(np.exp, shifted), 3))]


def in_double(function: Callable[[Array], Array], x: Array) -> Array:
    """A function of float32, computed in float64 and rounded once.

    The library's own functions err by up to a few last bits; NumPy's in float32 err more, and
    otherwise on every kind of CPU.
    """
    result: Array = function(x.astype(np.float64)).astype(F32)
    return result


def _running_sum(data: Array, axis: int) -> Array:
    """The float32 sum in the order of a plain loop, the axis kept."""
    return np.add.accumulate(data, axis=axis).take([-1], axis=axis)


def _reduced_axes(call: KernelCall) -> list[int]:
    """The axes of input 1; input 2 is the rank by which it counts them."""
    if len(call.inputs) < 2:
        return [0, 1, 2, 3]
    rank = int(call.inputs[2].flat[0]) if len(call.inputs) > 2 else 4
    axes = integers(call.inputs[1])
    if min(axes, default=0) < 0:
        return [0, 1, 2, 3]
    return sorted({4 - rank + axis for axis in axes if 0 <= 4 - rank + axis <= 3})


def _last_and_flat(data: Array, axes: list[int]) -> Array:
    """The kept axes, then all reduced ones as one."""
    kept = [axis for axis in range(4) if axis not in axes]
    flat: Array = data.transpose(kept + axes).reshape([data.shape[a] for a in kept] + [-1])
    return flat


@kernel("Sum_f")
def sum_(call: KernelCall) -> list[Array]:
    """`nn_reduction_float`: sizes of 1 stay, or with VALID the kept axes move to the end."""
    data, axes = call.inputs[0], _reduced_axes(call)
    total = _running_sum(_last_and_flat(data, axes), -1)[..., 0]
    if call.padding == Padding.VALID:
        return [total.reshape((1,) * (4 - total.ndim) + total.shape)]
    return [total.reshape([1 if axis in axes else data.shape[axis] for axis in range(4)])]


@kernel("Moments_f")
def moments(call: KernelCall) -> list[Array]:
    """Mean and variance, the variance as mean(x*x) - mean**2 in float32."""
    data = call.inputs[0]
    axes = sorted(set(integers(call.inputs[1])))
    if not all(0 <= axis <= 3 for axis in axes):
        raise GraphError(f"Moments over axes {axes}; they must be 0..3", where=call.op)
    flat = _last_and_flat(data, axes)
    count = F32(flat.shape[-1])
    mean = _running_sum(flat, -1)[..., 0] / count
    variance = _running_sum(flat * flat, -1)[..., 0] / count - mean * mean
    kept = [1 if axis in axes else data.shape[axis] for axis in range(4)]
    shape = call.outputs[0].shape if call.outputs else kept
    return [mean.reshape(shape), variance.reshape(shape)]


@kernel("InstanceNorm_f")
def instance_norm(call: KernelCall) -> list[Array]:
    """(x - mean) / sqrt(variance + 1e-5) of each batch and channel; sums in runs of 128."""
    data = call.inputs[0]
    batches, height, width, depth = data.shape
    area = F32(height * width)
    flat = data.reshape(batches, height * width, depth)
    mean = _sum_in_runs(flat) / area
    variance = _sum_in_runs(flat * flat) / area - mean * mean
    scale = F32(1) / np.sqrt(variance + F32(1e-5))
    return [((flat - mean) * scale).reshape(data.shape)]


def _sum_in_runs(flat: Array) -> Array:
    """Complete runs of 128 added up separately, then the rest added to that."""
    whole = flat.shape[1] // 128 * 128
    rest = np.zeros_like(flat[:, :1])
    if whole < flat.shape[1]:
        rest = _running_sum(flat[:, whole:], 1)
    if not whole:
        return rest
    runs = flat[:, :whole].reshape(flat.shape[0], -1, 128, flat.shape[2])
    total: Array = rest + _running_sum(_running_sum(runs, 2)[:, :, 0], 1)
    return total
