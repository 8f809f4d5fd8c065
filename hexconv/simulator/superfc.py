"""`SuperFC_8x8p32to8`: matrix product, bias and requantization in one node."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Array
from hexconv.simulator.arithmetic import F32, Level, OutputRange, level_and_zero
from hexconv.simulator.conv import full_bias, remembered
from hexconv.simulator.gain import Gain, Int, affine, choose_gain, codes
from hexconv.simulator.gemm import Gemm, Int32
from hexconv.simulator.output_range import as_tensor, with_exact_zero
from hexconv.simulator.registry import Call, kernel

ATTEMPTS = 5


@kernel("SuperFC_8x8p32to8")
def superfc(call: Call) -> list[Array]:
    """Rows of uint8 by a const uint8 matrix with int32 bias; the answer is always (1,1,rows,N).

    Inputs x, weights (1,1,K,N), x min, x max, w min, w max, bias, b min, b max, out min, out max.
    Its weights are never squeezed; its bias is not rounded together with the zero correction.

    Source: ops/src/op_superfc_d32.c.
    """
    x, weights = call.inputs[0], call.inputs[1]
    matrix = weights.reshape(-1, weights.shape[3])
    rows = _rows(call, matrix.shape[0])
    level = level_and_zero(call.scalar(4), call.scalar(5))
    gemm = call.memo("gemm", lambda: Gemm(matrix, level.zero))
    out = OutputRange.ask(call.scalar(9), call.scalar(10), (0.0, 0.5))
    out.first_guess = False
    low, high = call.scalar(2), call.scalar(3)
    if low > 0 or high < 0 or not low < high:
        raise GraphError(f"the input range {low} .. {high} does not hold zero", where=call.op)
    source = level_and_zero(low, high)
    if out.fixed == 3:
        gain, offsets = remembered(call, lambda: _scale(call, source, level, out))
        data = _product(gemm, rows, source.zero, gain, offsets)
    else:
        sums = gemm.accumulate(rows, source.zero)
        gain, offsets = _find_range(call, source, level, out, sums)
        data = np.clip(codes(sums + offsets, gain), 0, 255).astype(np.uint8)
    shaped = data.reshape(1, 1, x.size // matrix.shape[0], matrix.shape[1])
    return [shaped, as_tensor(out.minimum), as_tensor(out.maximum)]


def _rows(call: Call, depth: int) -> npt.NDArray[np.uint8]:
    """Input 0 as (rows, K), after the checks of `superfc_recalculate_strategy`."""
    x = call.inputs[0]
    if call.consts and not call.consts[1]:
        raise GraphError("the weights of SuperFC have to be a const", where=call.op)
    if depth < 32 or depth % 16:
        raise GraphError(
            f"SuperFC cannot run with a depth of {depth}",
            where=call.op,
            why="the library wants a multiple of 16 that is at least 32",
            todo="pad input and weights with zeros",
        )
    if x.size % depth:
        raise GraphError(f"{x.size} values are no rows of {depth}", where=call.op)
    return np.ascontiguousarray(x).reshape(-1, depth)


def _scale(call: Call, source: Level, weights: Level, out: OutputRange) -> tuple[Gain, Int]:
    """Gain, and what is added to the sums (`fill_bias_buf` of op_superfc_d32.c)."""
    gain = choose_gain(source, weights.size, out, None, F32(1))
    bias = full_bias(call.inputs[6], call.inputs[1].shape[3])
    step = F32(F32(call.scalar(8) - call.scalar(7)) * F32(2.0**-32))
    wanted = bias.astype(np.float32) * F32(step / gain.product)
    wanted = (wanted + F32(F32(-out.minimum) / gain.product)).astype(np.float32)
    return gain, np.rint(wanted).astype(np.int64)


def _product(
    gemm: Gemm, rows: npt.NDArray[np.uint8], zero: int, gain: Gain, offsets: Int
) -> npt.NDArray[np.uint8]:
    line = affine(offsets, gain)
    if line is not None:
        return gemm.requantized(rows, zero, *line)
    return np.clip(codes(gemm.accumulate(rows, zero) + offsets, gain), 0, 255).astype(np.uint8)


def _find_range(
    call: Call, source: Level, weights: Level, out: OutputRange, sums: Int32
) -> tuple[Gain, Int]:
    """Grow the range until the data fits.

    SuperFC puts zero on a whole code only if both ends are its own to choose
    (`superfc_execute_workitem_check_for_retry`).
    """
    for _ in range(ATTEMPTS):
        gain, offsets = _scale(call, source, weights, out)
        reached = codes(sums + offsets, gain)
        if not out.grow(int(reached.min()), int(reached.max()), exact=False):
            break
        if out.fixed == 0:
            out.minimum, out.maximum = with_exact_zero(out.minimum, out.maximum)
    return gain, offsets
