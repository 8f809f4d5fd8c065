"""`Supernode_u16x16p32to16`: convolution of uint16 by uint16, as four byte products.

Only v60's form is known to the bit; the shipped v65 and v66 recode the weights differently.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels.conv import WindowPlan, full_bias, make_plan
from hexconv.simulator.kernels.conv import sums as byte_sums
from hexconv.simulator.numerics.fixed_point import (
    F32,
    ZERO,
    as_range,
    round_int,
    sat_u16,
    zero_exact_u16,
)
from hexconv.simulator.numerics.gemm import Gemm
from hexconv.simulator.registry import KernelCall, kernel

Int = npt.NDArray[np.int64]

ATTEMPTS = 3


@dataclass(frozen=True)
class ConvLayer16:
    """The consts of the node.

    Args:
        gemm: products with the weights' high bytes, their low bytes, and a column of ones.
        columns: the sum of each of these columns.
        zero: the weights' zero point.
        size: scale of the weights.
        sums: (out,) sums of the weights, padding to a multiple of 32 channels included.
        padding: how many weights that padding has in one patch.
    """

    gemm: Gemm
    columns: Int
    zero: int
    size: np.float32
    sums: Int
    padding: int


@kernel("Supernode_u16x16p32to16_d32")
def supernode16(call: KernelCall) -> list[Array]:
    """Convolution of uint16 with int32 bias, to a given or a measured uint16 range.

    Inputs as for `Supernode_8x8p32to8`, without channel scales.
    Source: ops/src/op_supernode_16b.c, asm_src/gvconv2db2b2b2_d32_h_v60.S.
    """
    if call.library != "v60":
        raise GraphError(
            f"16-bit convolutions of {call.library} are not simulated",
            where=call.op,
            why="the shipped libraries return wrong values for most depths",
            hint="use Supernode_8x8p32to8",
        )
    x = call.inputs[0]
    if x.shape[2] % 4:
        raise GraphError(
            f"a width of {x.shape[2]} overruns the library's buffers",
            where=call.op,
            why="16-bit convolutions work on widths that are a multiple of 4",
        )
    layer = call.memo("layer", lambda: _layer(call))
    low, high = call.scalar(2), max(call.scalar(3), F32(call.scalar(2) + F32(1e-18)))
    scale = F32(F32(65536) / max(F32(1e-18), F32(high - low)))
    zero = sat_u16(round_int(F32(F32(ZERO - low) * scale)))
    product = F32(F32(F32(high - low) / F32(65536)) * layer.size)
    sums = _sums(x, zero, make_plan(call), layer)
    fixed, bounds = _asked(call)
    for _ in range(ATTEMPTS):
        accumulators = sums + _offsets(call, layer, zero, product, bounds[0])
        most = _limit(product, bounds)
        wider = _wider(accumulators, product, bounds, most, fixed)
        if wider == bounds:
            break
        bounds = wider
    return [_codes(accumulators, most), *as_range(*bounds)]


def _layer(call: KernelCall) -> ConvLayer16:
    weights = call.inputs[1]
    if call.consts and not call.consts[1]:
        raise GraphError("the weights of a convolution have to be a const", where=call.op)
    kh, kw, depth, outputs = weights.shape
    low, value_range = call.scalar(4), F32(call.scalar(5) - call.scalar(4))
    zero = int(np.rint(F32(F32(F32(-low) / value_range) * F32(65536))))
    flat = weights.reshape(-1, outputs)
    ones = np.ones((flat.shape[0], 1), np.uint8)
    planes = np.hstack([(flat >> 8).astype(np.uint8), (flat & 255).astype(np.uint8), ones])
    padding = kh * kw * (-depth % 32)
    return ConvLayer16(
        gemm=Gemm(planes, 0),
        columns=planes.sum(axis=0, dtype=np.int64),
        zero=zero,
        size=F32(value_range / F32(65536)),
        sums=flat.sum(axis=0, dtype=np.int64) + padding * zero,
        padding=padding,
    )


def _sums(x: Array, zero: int, plan: WindowPlan, layer: ConvLayer16) -> Int:
    """(B,Ho,Wo,out) int64: products and the zero point correction, each rounded to 2**16."""
    outputs = layer.sums.size

    def plane(shift: int) -> Int:
        code = (zero >> shift) & 255
        data = ((x >> shift) & 255).astype(np.uint8)
        return byte_sums(data, code, plan, layer.gemm) + code * layer.columns

    high, low = plane(8), plane(0)
    products: Int = (high[..., :outputs] << 16) + low[..., outputs:-1]
    products += (high[..., outputs:-1] + low[..., :outputs]) << 8
    pixels = (high[..., -1:] << 8) + low[..., -1:]
    correction: Int = (-pixels * (layer.zero & 0xFFFF)) >> 16
    return ((products + 0x8000) >> 16) + correction


def _offsets(
    call: KernelCall, layer: ConvLayer16, zero: int, product: np.float32, minimum: np.float32
) -> Int:
    """The offset of each channel, in units of 2**16 products (`fill_bias_buf`)."""
    weights = call.inputs[1]
    bias = full_bias(call.inputs[7], weights.shape[3])
    step = F32(F32(call.scalar(9) - call.scalar(8)) * F32(2.0**-32))
    wanted = bias.astype(np.float32) * F32(step / product)
    wanted = (wanted + F32(F32(-minimum) / product)).astype(np.float32)
    half = np.where(wanted >= 0, F32(0.5), F32(-0.5))
    rounded = np.trunc((wanted + half).astype(np.float32)).astype(np.int64)
    patch = weights[..., 0].size + layer.padding
    offsets: Int = (rounded - layer.sums * zero + patch * zero * layer.zero) >> 16
    return offsets


def _asked(call: KernelCall) -> tuple[int, tuple[np.float32, np.float32]]:
    """Which ends are given (bit 0 minimum, bit 1 maximum), and the range to start with."""
    low = min(call.scalar(10), ZERO)
    high = max(call.scalar(11), ZERO, F32(low + F32(2.0**-7)))
    fixed = int(np.isfinite(low)) + 2 * int(np.isfinite(high))
    low, high = (low if fixed & 1 else ZERO), (high if fixed & 2 else F32(0.5))
    return fixed, zero_exact_u16(low, high) if low < 0 else (low, high)


def _limit(product: np.float32, bounds: tuple[np.float32, np.float32]) -> int:
    """How many products one output LSB is worth."""
    return int(np.rint(F32(F32(F32(bounds[1] - bounds[0]) / F32(65536)) / product)))


def _wider(
    accumulators: Int,
    product: np.float32,
    bounds: tuple[np.float32, np.float32],
    most: int,
    fixed: int,
) -> tuple[np.float32, np.float32]:
    """The range to try next; the same one if everything fits."""
    low, high = bounds
    if not fixed & 2 and accumulators.max() > most:
        reach = F32(F32(F32(F32(accumulators.max()) * product) * F32(65536)) + bounds[0])
        high = _power_of_two(max(reach, F32(2.0**-4)))
    if not fixed & 1 and accumulators.min() < 0:
        reach = F32(F32(F32(F32(accumulators.min()) * product) * F32(65536)) + bounds[0])
        low = _power_of_two(min(reach, F32(-(2.0**-8))))
    if (low, high) != bounds and fixed == 0:
        return zero_exact_u16(low, high)
    return low, high


def _power_of_two(value: np.float32) -> np.float32:
    """`to_next_power_of_two`: the mantissa's bits carried into the exponent."""
    bits = (int(value.view(np.uint32)) + 0x7FFFFF) & 0xFF800000
    rounded: np.float32 = np.uint32(bits).view(np.float32)
    return rounded


def _codes(accumulators: Int, most: int) -> npt.NDArray[np.uint16]:
    """uint16: the accumulators times 2**16 / most, by a 31-bit reciprocal."""
    if most < 1:
        raise GraphError("the output range is narrower than one product")
    shift = min(61 - (31 - most.bit_length()), 46)
    recip = (1 << shift) // most
    scaled: Int = ((accumulators << (47 - shift)) * recip + 2**30) >> 31
    return np.clip(scaled, 0, 65535).astype(np.uint16)
