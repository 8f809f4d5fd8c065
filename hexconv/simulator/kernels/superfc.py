"""`SuperFC_8x8p32to8`: matrix product, bias and requantization in one node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.conv import full_bias
from hexconv.simulator.numerics.fixed_point import F32, zero_exact
from hexconv.simulator.numerics.gemm import Gemm
from hexconv.simulator.numerics.output_range import OutputRange, QParams, level_and_zero
from hexconv.simulator.numerics.requantize_gain import Gain, Int, Requantizer, choose_gain, codes
from hexconv.simulator.registry import KernelCall, kernel

ATTEMPTS = 5


@kernel("SuperFC_8x8p32to8")
def superfc(call: KernelCall) -> list[Array]:
    """Rows of uint8 by a const uint8 matrix with int32 bias; the output is always (1,1,rows,N).

    Inputs x, weights (1,1,K,N), x min, x max, w min, w max, bias, b min, b max, out min, out max.
    Its weights are never squeezed; its bias is not rounded together with the zero correction.

    Source: ops/src/op_superfc_d32.c.
    """
    x = call.inputs[0]
    layer = call.memo("layer", lambda: _layer(call))
    depth = layer.depth
    if x.size % depth:
        raise GraphError(f"{x.size} values are no rows of {depth}", where=call.op)
    rows = np.ascontiguousarray(x).reshape(-1, depth)
    if layer.range_given:
        finish = call.settled(2, lambda: _finish(call, layer))
        data = layer.gemm.requantized(rows, finish)
    else:
        finish, data = _find_range(call, layer, rows)
    shaped = data.reshape(1, 1, rows.shape[0], layer.gemm.columns)
    return [shaped, finish.minimum, finish.maximum]


@dataclass(frozen=True)
class SuperFCLayer:
    """The consts: scale and zero point of the weights, K, the product, if a range is given."""

    level: QParams
    depth: int
    gemm: Gemm
    range_given: bool


def _layer(call: KernelCall) -> SuperFCLayer:
    """The weights, after the checks of `superfc_recalculate_strategy`."""
    if call.consts and not call.consts[1]:
        raise GraphError("the weights of SuperFC have to be a const", where=call.op)
    matrix = call.inputs[1].reshape(-1, call.inputs[1].shape[3])
    depth = matrix.shape[0]
    if depth < 32 or depth % 16:
        raise GraphError(
            f"SuperFC cannot run with a depth of {depth}",
            where=call.op,
            why="the library needs a multiple of 16 that is at least 32",
            hint="pad input and weights with zeros",
        )
    level = level_and_zero(call.scalar(4), call.scalar(5))
    given = bool(np.isfinite(call.scalar(9)) and np.isfinite(call.scalar(10)))
    return SuperFCLayer(level, depth, Gemm(matrix, level.zero), given)


def _source(call: KernelCall) -> QParams:
    low, high = call.scalar(2), call.scalar(3)
    if low > 0 or high < 0 or not low < high:
        raise GraphError(f"the input range {low} .. {high} does not contain zero", where=call.op)
    return level_and_zero(low, high)


def _finish(call: KernelCall, layer: SuperFCLayer) -> Requantizer:
    source, out = _source(call), _asked(call)
    gain, offsets = _scale(call, source, layer.level, out)
    return Requantizer.of(source.zero, gain, offsets, out, layer.depth)


def _asked(call: KernelCall) -> OutputRange:
    out = OutputRange.ask(call.scalar(9), call.scalar(10), (0.0, 0.5))
    out.first_guess = False
    return out


def _scale(
    call: KernelCall, source: QParams, weights: QParams, out: OutputRange
) -> tuple[Gain, Int]:
    """Gain, and what is added to the sums (`fill_bias_buf` of op_superfc_d32.c)."""
    gain = choose_gain(source, weights.size, out, None, F32(1))
    bias = full_bias(call.inputs[6], call.inputs[1].shape[3])
    step = F32(F32(call.scalar(8) - call.scalar(7)) * F32(2.0**-32))
    wanted = bias.astype(np.float32) * F32(step / gain.product)
    wanted = (wanted + F32(F32(-out.minimum) / gain.product)).astype(np.float32)
    final = np.rint(wanted).astype(np.float64)  # converted with saturation, as in convolutions
    return gain, np.clip(final, -(2.0**31), 2.0**31 - 1).astype(np.int64)


def _find_range(
    call: KernelCall, layer: SuperFCLayer, rows: npt.NDArray[np.uint8]
) -> tuple[Requantizer, npt.NDArray[np.uint8]]:
    """Grow the range until the data fits.

    SuperFC makes the zero point an integer only if both ends are its own choice
    (`superfc_execute_workitem_check_for_retry`).
    """
    source, out = _source(call), _asked(call)
    sums = layer.gemm.accumulate(rows, source.zero)
    for _ in range(ATTEMPTS):
        gain, offsets = _scale(call, source, layer.level, out)
        reached = codes(sums + offsets, gain)
        if not out.grow(int(reached.min()), int(reached.max()), exact=False):
            break
        if out.fixed == 0:
            out.minimum, out.maximum = zero_exact(out.minimum, out.maximum)
    finish = Requantizer.of(source.zero, gain, offsets, out, layer.depth)
    return finish, finish.codes(sums)
