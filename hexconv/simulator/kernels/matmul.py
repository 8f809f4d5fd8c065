"""Matrix products with int32 or int16 output, and the bias of the first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.conv import make_plan
from hexconv.simulator.kernels.conv import sums as conv_sums
from hexconv.simulator.numerics.fixed_point import (
    F32,
    ZERO,
    as_range,
    div255,
    quantize_code,
    round_int,
    round_uint,
    sat_u8,
)
from hexconv.simulator.numerics.gemm import Gemm, multiply
from hexconv.simulator.numerics.hvx import wrap32
from hexconv.simulator.numerics.output_range import QParams
from hexconv.simulator.registry import KernelCall, kernel

Int = npt.NDArray[np.int64]

INT32_SPAN = F32(2.0**31)
"""(float)INT32_MAX, and minus (float)INT32_MIN."""


@kernel("QuantizedMatMul_8x8to32")
def matmul(call: KernelCall) -> list[Array]:
    """a, flattened to (M,K), by const b (1,1,K,N): (1,1,M,N) int32.

    Inputs a, b, a min, a max, b min, b max. Source: ops/src/op_matmul.c.
    """
    a, b = call.inputs[0], call.inputs[1]
    _check_matrix(call)
    depth, width = b.shape[2:]
    height = a.size // depth
    if -(-depth // 16) * 16 == 16 and width > 32 and (height == 1 or depth % 16 == 0):
        raise GraphError(
            f"a matrix of {depth} x {width} gives wrong columns from 32 on",
            where=call.op,
            why="the library misplaces the weights when K is at most 16 and N above 32",
            hint="pad K to 32 with zeros",
        )
    gemm = call.memo("gemm", lambda: Gemm(b.reshape(depth, width), _zero(call, 4)))
    rows = np.ascontiguousarray(a).reshape(height, depth)
    sums = gemm.accumulate(rows, _zero(call, 2))
    return [sums.reshape(1, 1, height, width), *_product_range(call)]


@kernel("QuantizedBatchMatMul_8x8to32")
def batch_matmul(call: KernelCall) -> list[Array]:
    """a (B,H,M,K) by b (B,H,K,N), either one const or computed: (B,H,M,N) int32.

    Inputs a, b, a min, a max, b min, b max. Not in the open source:
    docs/nnlib/shipped-library.md#batch-matmul.
    """
    a, b = call.inputs[0], call.inputs[1]
    if a.shape[:2] != b.shape[:2]:
        raise GraphError(
            f"batches {a.shape[:2]} and {b.shape[:2]} differ",
            where=call.op,
            why="the library does not broadcast them: execution fails",
        )
    if a.shape[3] != b.shape[2]:
        raise GraphError(f"rows of {a.shape[3]} for columns of {b.shape[2]}", where=call.op)
    sums = multiply(a, b, _zero(call, 2), _zero(call, 4))
    return [sums, *_product_range(call)]


@kernel("QuantizedConv2d_8x8to32")
def conv(call: KernelCall) -> list[Array]:
    """Convolution with int32 output: what prepare leaves of one without bias or requantization.

    Inputs x, weights (kh,kw,in,out), x min, x max, w min, w max, stride (shape). The integer
    convolution of ops/src/op_conv2d.c; no golden vector of it was recorded.
    """
    weights = call.inputs[1]
    plan = make_plan(call)
    flat = weights.reshape(-1, weights.shape[3])
    gemm = call.memo("gemm", lambda: Gemm(flat, _zero(call, 4)))
    sums = conv_sums(call.inputs[0], _zero(call, 2), plan, gemm)
    return [sums, *_product_range(call)]


@kernel("QuantizedBiasAdd_32p32to32")
def bias_add(call: KernelCall) -> list[Array]:
    """int32 plus an int32 bias (1,1,1,D), in the scale of the first; its range is kept.

    Inputs x, bias, x min, x max, bias min, bias max. Source: ops/src/op_biasadd.c.
    """
    x, bias = call.inputs[0], call.inputs[1]
    if bias.shape != (1, 1, 1, x.shape[3]):
        raise GraphError(f"a bias of {bias.shape} for {x.shape[3]} channels", where=call.op)
    step = F32(F32(call.scalar(3) - call.scalar(2)) * F32(2.0**-32))
    bias_step = F32(F32(call.scalar(5) - call.scalar(4)) * F32(2.0**-32))
    scaled = np.rint(bias.astype(np.float32) * F32(bias_step / step)).astype(np.float64)
    added = np.clip(scaled, -(2.0**31), 2.0**31 - 1).astype(np.int64)
    data = wrap32(x.astype(np.int64) + added).astype(np.int32)
    return [data, *as_range(call.scalar(2), call.scalar(3))]


@kernel("QuantizedMatMul_8x8p32to16", "QuantizedMatMulDims_8x8p32to16")
def matmul16(call: KernelCall) -> list[Array]:
    """a (B,H,W,K) by const b (1,1,K,N) plus int32 bias, to int16.

    The output is (1,1,B*H*W,N), or (B,H,W,N) with `Dims`. Inputs a, b, a min, a max, b min,
    b max, bias, bias min, bias max, out min, out max. Source: ops/src/op_matmul_16.c.
    """
    a, b = call.inputs[0], call.inputs[1]
    _check_matrix(call)
    depth, width = b.shape[2:]
    if a.shape[3] != depth:
        raise GraphError(f"rows of {a.shape[3]} for columns of {depth}", where=call.op)
    if width % 64 and call.library != "v60":
        raise GraphError(
            f"{width} columns: the shipped libraries return wrong values or crash",
            where=call.op,
            hint="pad the columns to a multiple of 64",
        )
    left, right = _level16(*_range(call, 2)), _level16(*_range(call, 4))
    product = F32(left.size * right.size)
    step = F32(F32(call.scalar(10) - call.scalar(9)) * F32(2.0**-16))
    recip = _recip16(call, F32(product / step))
    bias = _scaled_bias(call, product)
    gemm = call.memo("gemm", lambda: Gemm(b.reshape(depth, width), right.zero))
    rows = np.ascontiguousarray(a).reshape(-1, depth)
    sums = wrap32(gemm.accumulate(rows, left.zero) + bias)
    data = np.clip((sums * recip + 2**30) >> 31, -32768, 32767).astype(np.int16)
    leading = a.shape[:3] if "Dims" in call.op else (1, 1, rows.shape[0])
    high = F32(step * F32(32768))
    return [data.reshape(*leading, width), *as_range(F32(-high), high)]


def _zero(call: KernelCall, index: int) -> int:
    """The zero point of the range at inputs `index` and `index + 1`."""
    return quantize_code(ZERO, *_range(call, index))


def _range(call: KernelCall, index: int) -> tuple[np.float32, np.float32]:
    return call.scalar(index), call.scalar(index + 1)


def _product_range(call: KernelCall) -> list[Array]:
    """The int32 range of a product: the input scales multiplied, times INT32_MIN and INT32_MAX."""
    a_step = F32(F32(call.scalar(3) - call.scalar(2)) / F32(255))
    b_step = F32(F32(call.scalar(5) - call.scalar(4)) / F32(255))
    high = F32(INT32_SPAN * F32(a_step * b_step))
    return as_range(F32(-high), high)


def _check_matrix(call: KernelCall) -> None:
    """b has to be one const matrix whose rows fit a."""
    b = call.inputs[1]
    if call.consts and not call.consts[1]:
        raise GraphError(
            "the second operand has to be a const",
            where=call.op,
            why="the library packs it once, before it has a value: the product would be wrong",
            hint="use QuantizedBatchMatMul_8x8to32",
        )
    if b.shape[:2] != (1, 1):
        raise GraphError(f"the second operand is {b.shape}: no batches", where=call.op)
    if call.inputs[0].size % b.shape[2]:
        raise GraphError(f"the first operand is no rows of {b.shape[2]}", where=call.op)


def _level16(minimum: np.float32, maximum: np.float32) -> QParams:
    """Scale and zero point as op_matmul_16.c computes them, with its own rounding."""
    value_range = F32(maximum - minimum)
    zero = sat_u8(round_int(F32(F32(minimum * F32(-255)) / value_range)))
    return QParams(div255(value_range), zero)


def _recip16(call: KernelCall, gain: np.float32) -> int:
    """The multiplier from sums to int16 (`matmul_16_scale_for_run`)."""
    recip = round_uint(F32(gain * F32(2.0**31))) if np.isfinite(gain) and gain <= F32(1.5) else 0
    if not 0x4000 <= recip <= 2**31 + 0x8000:
        raise GraphError(
            f"the output range is {gain:g} times too narrow or far too wide",
            where=call.op,
            why="one output LSB has to be at least one LSB of the product",
        )
    return min(recip, 0x7FFFFFFF)


def _scaled_bias(call: KernelCall, product: np.float32) -> Int:
    """The bias in the product's scale: a multiplier of 22 fractional bits (`make_offset_buf`)."""
    bias = call.inputs[6].reshape(-1).astype(np.int64)
    if bias.size != call.inputs[1].shape[3]:
        raise GraphError(f"a bias of {bias.size} for {call.inputs[1].shape[3]} columns")
    step = F32(F32(call.scalar(8) - call.scalar(7)) * F32(2.0**-32))
    factor = round_uint(F32(F32(step / product) * F32(2.0**22)))
    if factor >= 2**31:
        raise GraphError("the bias cannot be scaled to the product", where=call.op)
    return bias if factor == 2**22 else wrap32((bias * factor + 2**21) >> 22)
