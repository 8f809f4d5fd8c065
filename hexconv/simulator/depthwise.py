"""`DepthwiseSupernode_8x8p32to8`: one filter a channel, bias and requantization.

A product per weight and pixel, summed in float32, which is exact: 7x14 windows of 255 * 255 stay
below 2**24. Lines are kept flat (pixels times channels), so that every pass runs over long rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Array, Padding
from hexconv.simulator.arithmetic import F32, Level, OutputRange
from hexconv.simulator.conv import (
    Plan,
    channel_scales,
    find_range,
    input_level,
    make_plan,
    remembered,
    scale,
)
from hexconv.simulator.conv_weights import PackedWeights
from hexconv.simulator.gain import Gain, Int, affine, codes
from hexconv.simulator.gemm import tiles
from hexconv.simulator.output_range import as_tensor, zero_code
from hexconv.simulator.patches import Tile, blocks, padded
from hexconv.simulator.registry import Call, kernel

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

TILE_VALUES = 64 * 1024
PARALLEL_PRODUCTS = 1_000_000
ATTEMPTS = 5


@dataclass(frozen=True)
class Taps:
    """The weights, zero taken off, float32.

    Args:
        line: (kh, kw, 1, columns*channels): each tap repeated along a whole output line.
    """

    line: Float32


@kernel("DepthwiseSupernode_8x8p32to8_d32")
def depthwise(call: Call) -> list[Array]:
    """Depthwise convolution of uint8 with int32 bias; inputs as for `Supernode_8x8p32to8`.

    Where the output range is found from the data, the columns that a 3x3 kernel computes beyond
    the image count too, with zeros around the image (at stride 2 the library may look at pixels of
    the next line there).

    Source: ops/src/op_dwise_snode_8bit.c.
    """
    x, weights = call.inputs[0], call.inputs[1]
    _refuse(call)
    plan = make_plan(call)
    zero = zero_code(call.scalar(4), call.scalar(5))
    size = F32(F32(call.scalar(5) - call.scalar(4)) / F32(255))
    packed = call.memo("weights", lambda: _pack(call, zero))
    out = OutputRange.ask(call.scalar(10), call.scalar(11), (-0.125, 0.125))
    source = input_level(call)
    level = Level(size, zero)
    if out.fixed == 3:
        gain, offsets = remembered(call, lambda: scale(call, source, level, packed, out))
        taps = _taps(call, weights, zero, plan)
        data = _convolve(x, source.zero, plan, taps, offsets, gain)
        return [data, as_tensor(out.minimum), as_tensor(out.maximum)]
    left, wide = _measured_columns(call, plan, packed)
    measured = _sums(x, source.zero, wide, _lines(weights, zero, wide))
    gain, offsets = find_range(
        measured,
        out,
        lambda: scale(call, source, level, packed, out),
        attempts=ATTEMPTS,
        strict=True,
    )
    kept = measured[:, :, left : left + plan.columns.out]
    data = np.clip(codes(kept + offsets, gain), 0, 255).astype(np.uint8)
    return [data, as_tensor(out.minimum), as_tensor(out.maximum)]


def _refuse(call: Call) -> None:
    """What the library answers with an error, a crash, or garbage (facts/nnlib-quirks.md)."""
    kh, kw, inputs, multiplier = call.inputs[1].shape
    across = call.inputs[6].shape[2]
    reason = ""
    if multiplier != 1:
        reason = f"a channel multiplier of {multiplier} gives garbage; only 1 works"
    elif kh < 2:
        reason = "the kernel has to be at least 2 high"
    elif kw not in (3, 5, 7):
        reason = f"a kernel {kw} wide crashes the library; only 3, 5 and 7 exist"
    elif across > 2:
        reason = f"a stride of {across} across gives garbage; only 1 and 2 exist"
    elif inputs != call.inputs[0].shape[3]:
        reason = f"{inputs} filters meet {call.inputs[0].shape[3]} channels"
    if reason:
        raise GraphError("the library cannot run this depthwise conv", where=call.op, why=reason)


def _pack(call: Call, zero: int) -> PackedWeights:
    """Sums as `dwise_sumb` forms them; v65 and v66 do not squeeze depthwise weights."""
    weights = call.inputs[1]
    kh, kw, channels, _ = weights.shape
    flat = weights.reshape(kh * kw, channels)
    sums = flat.sum(axis=0, dtype=np.int64) - zero * kh * kw
    scales = channel_scales(call, channels)
    inverse = None if scales is None else (F32(1) / scales).astype(np.float32)
    return PackedWeights(flat, zero, sums, scales, inverse, F32(1))


def _taps(call: Call, weights: Array, zero: int, plan: Plan) -> Taps:
    """The taps of output lines as wide as this input's; the width seldom changes."""
    width = plan.columns.out
    return call.memo(f"taps {width}", lambda: _lines(weights, zero, plan))


def _lines(weights: Array, zero: int, plan: Plan) -> Taps:
    centred = weights.astype(np.float32).reshape(*weights.shape[:2], 1, -1) - F32(zero)
    return Taps(np.tile(centred, (1, 1, 1, plan.columns.out)))


def _convolve(
    x: Array, zero: int, plan: Plan, taps: Taps, offsets: Int, gain: Gain
) -> npt.NDArray[np.uint8]:
    """(B,Ho,Wo,D) uint8."""
    result = np.empty((x.shape[0], plan.rows.out, plan.columns.out, x.shape[3]), dtype=np.uint8)
    line = affine(offsets, gain)
    repeated = None if line is None else [np.tile(part, plan.columns.out) for part in line]

    def finish(sums: Float32) -> Array:
        if repeated is None:
            shaped = sums.reshape(*sums.shape[:2], -1, offsets.size).astype(np.int64)
            return np.clip(codes(shaped + offsets, gain), 0, 255).astype(np.uint8)
        wide = np.multiply(sums, repeated[0])
        np.add(wide, repeated[1], out=wide)
        np.clip(wide, 0, 255, out=wide)
        return wide.astype(np.uint8)

    def run(tile: Tile) -> None:
        target = result[tile.images, tile.rows]
        target[...] = finish(_tile_sums(whole, zero, plan, taps, tile)).reshape(target.shape)

    whole = padded(x, plan.rows, plan.columns, zero)
    work = _work(result.shape, plan)
    heavy = result.size * plan.rows.window * plan.columns.window >= PARALLEL_PRODUCTS
    tiles(run, work, parallel=heavy and len(work) > 1)
    return result


def _sums(x: Array, zero: int, plan: Plan, taps: Taps) -> npt.NDArray[np.int32]:
    """(B,Ho,Wo,D) int32, without bias."""
    whole = padded(x, plan.rows, plan.columns, zero)
    shape = (x.shape[0], plan.rows.out, plan.columns.out, x.shape[3])
    everything = Tile(slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    flat = _tile_sums(whole, zero, plan, taps, everything)
    return flat.reshape(shape).astype(np.int32)


def _work(shape: tuple[int, ...], plan: Plan) -> list[Tile]:
    """Tiles of whole lines."""
    pixels = max(plan.columns.out, TILE_VALUES // shape[3])
    return blocks(shape[0], plan.rows.out, plan.columns.out, pixels)


def _tile_sums(
    whole: npt.NDArray[np.uint8], zero: int, plan: Plan, taps: Taps, tile: Tile
) -> Float32:
    """(images, lines, columns*channels) float32 sums of one tile of the padded input."""
    down, across = plan.rows.stride, plan.columns.stride
    first = tile.rows.start * down
    last = (tile.rows.stop - 1) * down + plan.rows.window
    phases = _phases(whole[tile.images, first:last], zero, across)
    channels, length = whole.shape[3], taps.line.shape[3]
    count = tile.rows.stop - tile.rows.start
    sums = np.zeros((phases[0].shape[0], count, length), dtype=np.float32)
    scratch = np.empty_like(sums)
    for ky, kx in product(range(plan.rows.window), range(plan.columns.window)):
        lines = phases[kx % across][:, ky : ky + (count - 1) * down + 1 : down]
        start = kx // across * channels
        np.multiply(lines[:, :, start : start + length], taps.line[ky, kx], out=scratch)
        np.add(sums, scratch, out=sums)
    return sums


def _phases(lines: npt.NDArray[np.uint8], zero: int, across: int) -> list[Float32]:
    """Every `across`-th column, flat, zero taken off: (images, lines, columns*channels) float32."""
    images, count = lines.shape[:2]
    return [
        np.subtract(lines[:, :, phase::across], F32(zero), dtype=np.float32).reshape(
            images, count, -1
        )
        for phase in range(across)
    ]


def _measured_columns(call: Call, plan: Plan, packed: PackedWeights) -> tuple[int, Plan]:
    """How many columns left of the image the library measures, and the plan of all of them.

    The 3x3 kernel without channel scales works on whole vectors from the left padding of 4 on.
    """
    columns = plan.columns
    if (plan.rows.window, columns.window) != (3, 3) or packed.factor is not None:
        return 0, plan
    before = 0 if call.padding is Padding.VALID else columns.before
    left = (4 - before) // columns.stride
    total = -(-(columns.out + left) // 4) * 4
    right = (total - left - columns.out) * columns.stride + columns.window
    wide = replace(
        columns,
        out=total,
        before=columns.before + left * columns.stride,
        after=columns.after + right,
    )
    return left, Plan(plan.rows, wide)
