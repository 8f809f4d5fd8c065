"""Max, average and L2 pools of uint8 tensors (op_maxpool*.c, op_avgpool*.c, op_l2pool.c)."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Padding
from hexconv.simulator.numerics.fixed_point import (
    F32,
    ZERO,
    adjust_range,
    as_range,
    exponent,
    power2,
    quantize_code,
    round_int,
    sat_i16,
)
from hexconv.simulator.numerics.hvx import (
    Int,
    mul_frac,
    mul_frac32,
    numbers,
    sat16,
    satu8,
    shift_round,
    wrap16,
    wrap32,
)
from hexconv.simulator.numerics.integral_sums import window_sums
from hexconv.simulator.numerics.window import (
    WindowAxis,
    covered,
    max_over_windows,
    pad_space,
    plan,
    taps,
)
from hexconv.simulator.registry import KernelCall, kernel

# A ninth of 0 .. 9 * 255 by the fraction 3641 / 32768 (avgpool_slice_hvx_3x3_stride1).
NINTHS = mul_frac(np.arange(9 * 255 + 1, dtype=np.int64), 3641).astype(np.uint8)


@kernel("QuantizedMaxPool_8", "QuantizedMaxPool_8_d32")
def max_pool(call: KernelCall) -> list[Array]:
    """The maximum of each window; positions outside count as 0."""
    height, width = plan(call)
    padded = pad_space(call.inputs[0], height, width, 0)
    return [max_over_windows(padded, height, width), call.inputs[1], call.inputs[2]]


@kernel("QuantizedAvgPool_8")
def avg_pool_flat(call: KernelCall) -> list[Array]:
    """`avgpool_execute_slice_asm`: the sum by a truncated 32768/count, rounded."""
    if call.padding == Padding.NA:
        raise GraphError("the flat AvgPool needs a padding", where=call.op)
    height, width = plan(call)
    padded = pad_space(call.inputs[0], height, width, 0).astype(np.int32)
    total = sum(taps(padded, height, width)[1:], taps(padded, height, width)[0])
    count = np.outer(covered(height), covered(width))[:, :, None]
    fraction = np.minimum(0x8000 // count, 0x7FFF).astype(np.int32)
    data = ((total * fraction + 0x4000) >> 15).astype(np.uint8)
    return [data, call.inputs[1], call.inputs[2]]


@kernel("QuantizedAvgPool_8_d32")
def avg_pool_d32(call: KernelCall) -> list[Array]:
    """`avgpool_execute`: the library has separate code for 1x1 results, 3x3 and 2x2."""
    height, width = (simplify(axis) for axis in plan(call))
    data = call.inputs[0][:, : height.size, : width.size]
    if height.out == 1 and width.out == 1:
        return _avg_to_one(call, data)
    if is_three_by_three(height, width):
        pooled = _avg_three_by_three(data, height, width)
    elif height.window == 2 and width.window == 2 and width.stride == 2:
        pooled = _avg_two_by_two(data, height, width)
    else:
        pooled = _avg_integral(data, height, width)
    return [pooled, call.inputs[1], call.inputs[2]]


def simplify(axis: WindowAxis) -> WindowAxis:
    """`setup_integral_buffer_plan`: drops unused input, shrinks windows that reach beyond it."""
    size = axis.size
    if axis.after == 0 and axis.stride > 1:
        size = min(size, axis.window + (axis.out - 1) * axis.stride)
    if axis.out == 1:
        return WindowAxis(size, size, 1, 1, 0, 0)
    shrink = 0
    if axis.window - 1 > size:
        shrink = max(0, axis.window - max(axis.before, axis.after) - size)
    return WindowAxis(
        size,
        axis.window - 2 * shrink,
        axis.stride,
        axis.out,
        axis.before - shrink,
        axis.after - shrink,
    )


def is_three_by_three(height: WindowAxis, width: WindowAxis) -> bool:
    windows = (height.window, width.window, height.stride, width.stride)
    return windows == (3, 3, 1, 1) and height.size > 1 and width.size > 1


def _avg_three_by_three(data: Array, height: WindowAxis, width: WindowAxis) -> Array:
    """`avgpool_process_slice_special`: the border is the mean of the two lines next to it."""
    for dimension, axis in ((1, height), (2, width)):
        data = _extend_by_mean(data, axis, dimension)
    rows = data[:, :-2].astype(np.uint16) + data[:, 1:-1] + data[:, 2:]
    means: Array = NINTHS[rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]]
    return means


def _extend_by_mean(data: Array, axis: WindowAxis, dimension: int) -> Array:
    lines = np.moveaxis(data, dimension, 0).astype(np.int16)
    parts = [lines]
    if axis.before:
        parts.insert(0, (lines[:1] + lines[1:2] + 1) >> 1)
    if axis.after:
        parts.append((lines[-1:] + lines[-2:-1] + 1) >> 1)
    extended = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return np.moveaxis(extended, 0, dimension)


def _avg_two_by_two(data: Array, height: WindowAxis, width: WindowAxis) -> Array:
    """`avgpool_2x2_inner_func`: the border repeats the edge."""
    border = ((0, 0), (height.before, height.after), (width.before, width.after), (0, 0))
    a, b, c, d = taps(np.pad(data, border, mode="edge").astype(np.uint16), height, width)
    return ((a + b + c + d + 2) >> 2).astype(np.uint8)


def _avg_integral(data: Array, height: WindowAxis, width: WindowAxis) -> Array:
    """`consumer_run_row_hvx`: sums of 256 * value, scaled by 2**k / window size in two steps."""
    count = height.window * width.window
    shift = (count - 1).bit_length() + 1 if count > 1 else 1
    fraction = ((16384 << shift) // count + 1) >> 1
    sums = window_sums(data, height, width)
    return satu8(shift_round(mul_frac(sat16(shift_round(sums, shift)), fraction), 6))


def _avg_to_one(call: KernelCall, data: Array) -> list[Array]:
    """`avgpool_reduce_to_1x1_*`: one mean per channel, the output range taken from the results."""
    low, high = call.scalar(1), call.scalar(2)
    window_size = F32(data.shape[1] * data.shape[2])
    unit = F32(F32(high - low) / F32(F32(255) * window_size))
    zero = F32(-low / unit)
    sums = data.sum(axis=(1, 2), keepdims=True, dtype=np.int64)
    smallest, largest = int(sums.min()), int(sums.max())
    if data.shape[3] % 32:
        # The padding up to 32 channels contains the rounded zero point while the range is measured.
        smallest, largest = min(smallest, round_int(zero)), max(largest, round_int(zero))
    out_low = F32(min(F32(0), F32(F32(smallest) - zero)) * unit)
    out_high = max(F32(max(F32(0), F32(F32(largest) - zero)) * unit), F32(out_low + F32(0.001)))
    value_range = F32(out_high - out_low)
    if F32(F32(255.1) * unit) >= value_range:
        widen = F32(F32(F32(255.1) * unit) / value_range)
        out_low, out_high = F32(out_low * widen), F32(out_high * widen)
    out_low, out_high, _, steps_per_unit = adjust_range(out_low, out_high)
    target = F32(unit * steps_per_unit)
    shift = min(31, max(0, -exponent(target)))
    scale = sat_i16(round_int(F32(target * power2(shift + 15))))
    zero_over_scale = F32(0)
    if out_low < 0:
        actual = F32(F32(scale) * power2(-(shift + 15)))
        zero_over_scale = F32(F32(-out_low * steps_per_unit) / actual)
    offset = round_int(F32(F32(2) * F32(zero_over_scale - zero)))
    scaled = mul_frac32(wrap32(2 * sums + offset), scale) >> shift
    codes = satu8(sat16(shift_round(scaled, 1)))
    return [codes, *as_range(out_low, out_high)]


# lut_sqrt_cn of op_sqrth_8.h: square root of 0.5 .. 1 in 16 segments, orders 0, 1, 2.
SQRT0 = numbers(
    "23170 23884 24576 25249 25905 26545 27170 27780 "
    "28378 28963 29537 30099 30652 31194 31727 32251"
)
SQRT1 = numbers(
    "11582 11237 10920 10629 10360 10111 9879 9662 9458 9267 9087 8917 8757 8605 8460 8322"
)
SQRT2 = numbers(
    "-2767 -2533 -2330 -2153 -1998 -1860 -1737 -1627 "
    "-1529 -1440 -1359 -1286 -1218 -1157 -1101 -1049"
)


@kernel("QuantizedL2Pool_8")
def l2_pool(call: KernelCall) -> list[Array]:
    """`l2pool_execute_ref`: the root of the mean square of each window, range 0 .. max-min."""
    if call.padding == Padding.NA:
        raise GraphError("L2Pool needs a padding", where=call.op)
    height, width = (l2_axis(axis, call.op) for axis in plan(call))
    low, high = call.scalar(1), call.scalar(2)
    squares = (call.inputs[0].astype(np.int32) - quantize_code(ZERO, low, high)) ** 2
    parts = taps(pad_space(squares, height, width, 0), height, width)
    total = sum(parts[1:], parts[0]).astype(np.int64)
    count = np.outer(covered(height), covered(width))[:, :, None]
    reciprocal = (65536 // count + 1) >> 1
    mean = wrap32(total * reciprocal + 0x4000) >> 15
    step = F32(F32(high - low) / F32(255))
    return [_root(mean & 0xFFFF), *as_range(0, F32(F32(255) * step))]


def l2_axis(axis: WindowAxis, op: str) -> WindowAxis:
    """The pool's own padding: half of what the windows reach beyond, towards zero."""
    beyond = (axis.out - 1) * axis.stride + axis.window - axis.size
    if beyond <= -2:
        raise GraphError(
            f"L2Pool would leave {-beyond} rows or columns of {axis.size} unused",
            where=op,
            why="the library then reads each window in the wrong place (op_l2pool.c)",
            hint="crop the input so that at most one row and column is left over",
        )
    before = max(0, beyond) // 2
    return WindowAxis(
        axis.size, axis.window, axis.stride, axis.out, before, max(0, beyond) - before
    )


def _root(squares: Int) -> Array:
    """`sqrt_fx` of op_sqrth_8.h: the root of a uint16 as uint8."""
    exponent = 16 - np.frexp(squares.astype(np.float64))[1].astype(np.int64)
    normal = squares << exponent
    segment, x = (normal >> 11) & 15, normal & 0x7FF
    y = wrap16(_mul_frac_once(SQRT2[segment], x) + SQRT1[segment])
    y = wrap16(_mul_frac_once(y, x) + SQRT0[segment])
    y = np.where(exponent & 1, _mul_frac_once(y, 23170), y) >> (exponent >> 1)
    roots = np.minimum((y + 64) >> 7, 255)
    return np.where(squares == 0, 0, roots).astype(np.uint8)


def _mul_frac_once(a: Int, b: Int | int) -> Int:
    """`Q6_R_mpy_RlRl_s1_rnd_sat` and its upper half."""
    return sat16((a * b + 0x4000) >> 15)
