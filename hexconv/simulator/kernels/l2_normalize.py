"""L2Normalize_8: x / sqrt(sum(x*x)) along one axis, over -1..1 (op_l2normalize_8.c)."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import ZERO, as_range, quantize_code
from hexconv.simulator.numerics.hvx import Int, count_leading_zeros32, sat16, sat32, wrap16, wrap32
from hexconv.simulator.registry import KernelCall, kernel


@kernel("L2Normalize_8")
def l2_normalize(call: KernelCall) -> list[Array]:
    """Depth has its own algorithm; the other axes share one."""
    data = call.inputs[0]
    axis = int(call.inputs[3].flat[0]) if len(call.inputs) > 3 else 3
    if not -4 <= axis <= 3:
        raise GraphError(f"L2Normalize along axis {axis}; it must be -4..3", where=call.op)
    axis %= 4
    centered = data.astype(np.int64) - quantize_code(ZERO, call.scalar(1), call.scalar(2))
    squares = sat32((centered * centered).sum(axis=axis, keepdims=True))
    if not squares.all():
        raise GraphError(
            "L2Normalize of a slice of zeros",
            where=call.op,
            why="the library divides by zero and returns wrong values (op_l2normalize_8.c)",
            hint="add a small constant before it",
        )
    codes = _along_depth(centered, squares) if axis == 3 else _along_other(centered, squares)
    return [(codes + 128).astype(np.uint8), *as_range(-1, 1)]


def _along_depth(centered: Int, squares: Int) -> Int:
    """`hvx_l2norm_in_rows`: by a truncated 32768 / norm.

    The fraction of a norm that is a power of two does not fit in 16 bits and turns negative.
    """
    norm = np.sqrt(squares.astype(np.float32)).astype(np.int64)
    shift = np.frexp(norm.astype(np.float64))[1].astype(np.int64) - 1
    fraction = wrap16((32768 // norm) << shift)
    codes: Int = np.clip(centered * fraction >> (shift + 8), -128, 127)
    return codes


def _along_other(centered: Int, squares: Int) -> Int:
    """`hvx_l2norm_in_cols`."""
    shift = count_leading_zeros32(squares) - 1
    normal = squares << shift
    shift = shift - 15
    root = sat16(_reciprocal_root(normal, (shift & 1) == 1) >> 16)
    down = 8 - ((shift + 1) >> 1)
    product = centered * root
    moved = np.where(down >= 0, product >> np.maximum(down, 0), product << np.maximum(-down, 0))
    return np.clip(sat16(moved), -128, 127)


def _reciprocal_root(value: Int, odd: Array) -> Int:
    """`rsqrt_newton_hvx`: four Newton steps in 32 bits, 31 fraction bits."""
    x: Int = np.full_like(value, 8375186)
    for _ in range(4):
        cube = _mul32(x, _mul32(x, x))
        grown = wrap32(_mul32(np.full_like(x, 1610612736), x) << 1)
        x = wrap32(grown - wrap32(_mul32(value >> 1, cube) << 16))
    return np.where(odd, wrap32(_mul32(np.full_like(x, 759250124), x) << 1), x)


def _mul32(a: Int, b: Int) -> Int:
    """`q6op_Vw_vmpy_VwVw_s1_rnd_sat`: int32 fractions with 31 bits."""
    return sat32((a * b + (1 << 30)) >> 31)
