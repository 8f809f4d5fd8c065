"""`DepthwiseSupernode_8x8p32to8`: one filter per channel, bias and requantization.

A product per weight and pixel, summed in float32, which is exact: 7x14 windows of 255 * 255 stay
below 2**24. Lines are kept flat (pixels times channels), so that every pass runs over long rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from hexconv import native
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.depthwise_code import ignores
from hexconv.nnlib.graph import Padding
from hexconv.simulator.kernels.conv import (
    WindowPlan,
    channel_scales,
    find_range,
    input_level,
    make_plan,
    scale,
)
from hexconv.simulator.numerics.conv_weights import PackedWeights
from hexconv.simulator.numerics.fixed_point import F32, ZERO, quantize_code
from hexconv.simulator.numerics.hvx import wrap32
from hexconv.simulator.numerics.im2col import Tile, blocks
from hexconv.simulator.numerics.output_range import OutputRange, QParams
from hexconv.simulator.numerics.requantize_gain import Requantizer
from hexconv.simulator.numerics.window import pad_space
from hexconv.simulator.registry import KernelCall, kernel
from hexconv.threads import each

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]

TILE_VALUES = 64 * 1024
PARALLEL_PRODUCTS = 1_000_000
ATTEMPTS = 5
GUESS = (-0.125, 0.125)


@kernel("DepthwiseSupernode_8x8p32to8_d32")
def depthwise(call: KernelCall) -> list[Array]:
    """Depthwise convolution of uint8 with int32 bias; inputs as for `Supernode_8x8p32to8`.

    Where the output range is measured from the data, the columns that a 3x3 kernel computes beyond
    the image count too, with zeros around the image (at stride 2 the library may look at pixels of
    the next line there).

    Source: ops/src/op_dwise_snode_8bit.c.
    """
    x = call.inputs[0]
    layer = call.memo("layer", lambda: _layer(call))
    if x.shape[3] != layer.packed.codes.shape[1]:
        raise GraphError(
            f"{layer.packed.codes.shape[1]} filters for {x.shape[3]} channels", where=call.op
        )
    plan = make_plan(call)
    if layer.range_given:
        finish = call.settled(2, lambda: _finish(call, layer))
        return [_convolve(x, plan, layer, finish), finish.minimum, finish.maximum]
    source, out = input_level(call), OutputRange.ask(call.scalar(10), call.scalar(11), GUESS)
    left, wide = _measured_columns(call, plan, layer.packed)
    measured = _sums(x, source.zero, wide, layer)
    gain, offsets = find_range(
        measured,
        out,
        lambda: scale(call, source, layer.level, layer.packed, out),
        attempts=ATTEMPTS,
        strict=True,
    )
    finish = Requantizer.of(source.zero, gain, offsets, out, layer.packed.codes.shape[0])
    kept = measured[:, :, left : left + plan.columns.out]
    return [finish.codes(kept), finish.minimum, finish.maximum]


@dataclass
class DepthwiseLayer:
    """The consts of the node.

    Args:
        level: scale and zero point of the weights.
        packed: the weights.
        centered: (kh, kw, D) int16, the weights less their zero point.
        range_given: whether both ends of the output range are.
    """

    level: QParams
    packed: PackedWeights
    centered: npt.NDArray[np.int16]
    range_given: bool
    _taps: tuple[int, Float32] = (0, np.empty(0, np.float32))
    _compiled: tuple[object, native.Convolution, object] | None = None

    def taps(self, columns: int) -> Float32:
        """(kh, kw, 1, columns*D) float32: each tap along a whole output line."""
        if self._taps[0] != columns:
            wide = self.centered.astype(np.float32)[:, :, None]
            self._taps = columns, np.tile(wide, (1, 1, 1, columns))
        return self._taps[1]

    def compiled(
        self, passes: native.Passes, plan: WindowPlan, x: Array, finish: Requantizer
    ) -> Array:
        """(B,Ho,Wo,D) uint8 of padded x, in one pass; offsets include its zero point's share."""
        key = x.shape, plan, id(finish)
        last = self._compiled
        if last is None or last[0] != key:
            total = finish.offsets - finish.zero * self.packed.sums
            how = wrap32(total).astype(np.int32), finish.multipliers, finish.gain.shift
            made = passes.depthwise(x.shape, plan.windows, self.centered, *how)
            last = self._compiled = key, made, finish
        return last[1](x)


def _layer(call: KernelCall) -> DepthwiseLayer:
    _check_supported(call)
    zero = quantize_code(ZERO, call.scalar(4), call.scalar(5))
    size = F32(F32(call.scalar(5) - call.scalar(4)) / F32(255))
    given = bool(np.isfinite(call.scalar(10)) and np.isfinite(call.scalar(11)))
    weights = call.inputs[1]
    centered = weights.astype(np.int16).reshape(*weights.shape[:2], -1) - np.int16(zero)
    return DepthwiseLayer(QParams(size, zero), _pack(call, zero), centered, given)


def _finish(call: KernelCall, layer: DepthwiseLayer) -> Requantizer:
    source, out = input_level(call), OutputRange.ask(call.scalar(10), call.scalar(11), GUESS)
    gain, offsets = scale(call, source, layer.level, layer.packed, out)
    return Requantizer.of(source.zero, gain, offsets, out, layer.packed.codes.shape[0])


def _check_supported(call: KernelCall) -> None:
    """Raise where the library fails or returns wrong values (docs/nnlib/quirks.md#depthwise)."""
    kh, kw, _, multiplier = call.inputs[1].shape
    across = call.inputs[6].shape[2]
    scales = channel_scales(call, call.inputs[1].shape[2])
    reason = ""
    if multiplier != 1:
        reason = f"a channel multiplier of {multiplier} gives wrong values; only 1 works"
    elif kh < 2:
        reason = "the kernel has to be at least 2 high"
    elif kw not in (3, 5, 7):
        reason = f"a kernel {kw} wide crashes the library; only 3, 5 and 7 exist"
    elif across > 2:
        reason = f"a stride of {across} across gives wrong values; only 1 and 2 exist"
    elif scales is not None and ignores(scales, kw, across):
        reason = (
            f"a kernel {kw} wide at stride {across} applies the scales of the first 32 channels "
            "to every 32"
        )
    elif call.consts and not call.consts[1]:
        reason = "the weights have to be a const"
    if reason:
        raise GraphError("the library cannot run this depthwise conv", where=call.op, why=reason)


def _pack(call: KernelCall, zero: int) -> PackedWeights:
    """Sums as `dwise_sumb` computes them; v65 and v66 do not squeeze depthwise weights."""
    weights = call.inputs[1]
    kh, kw, channels, _ = weights.shape
    flat = weights.reshape(kh * kw, channels)
    sums = flat.sum(axis=0, dtype=np.int64) - zero * kh * kw
    scales = channel_scales(call, channels)
    inverse = None if scales is None else (F32(1) / scales).astype(np.float32)
    return PackedWeights(flat, zero, sums, scales, inverse, F32(1))


def _convolve(
    x: Array, plan: WindowPlan, layer: DepthwiseLayer, finish: Requantizer
) -> npt.NDArray[np.uint8]:
    """(B,Ho,Wo,D) uint8."""
    whole = pad_space(x, plan.rows, plan.columns, finish.zero)
    passes = native.library()
    if passes is not None:
        return layer.compiled(passes, plan, whole, finish)
    result = np.empty((x.shape[0], plan.rows.out, plan.columns.out, x.shape[3]), dtype=np.uint8)
    line = finish.line and [np.tile(part, plan.columns.out) for part in finish.line]
    taps = layer.taps(plan.columns.out)

    def codes_of(sums: Float32) -> Array:
        if line is None:
            return finish.codes(sums.reshape(*sums.shape[:2], -1, x.shape[3]).astype(np.int32))
        wide = np.multiply(sums, line[0])
        np.add(wide, line[1], out=wide)
        np.clip(wide, 0, 255, out=wide)
        return wide.astype(np.uint8)

    def run(tile: Tile) -> None:
        target = result[tile.images, tile.rows]
        sums = _tile_sums(whole, finish.zero, plan, taps, tile)
        target[...] = codes_of(sums).reshape(target.shape)

    work = _work(result.shape, plan)
    heavy = result.size * plan.rows.window * plan.columns.window >= PARALLEL_PRODUCTS
    each(run, work, parallel=heavy and len(work) > 1)
    return result


def _sums(x: Array, zero: int, plan: WindowPlan, layer: DepthwiseLayer) -> Int32:
    """(B,Ho,Wo,D) int32, without bias."""
    whole = pad_space(x, plan.rows, plan.columns, zero)
    passes = native.library()
    if passes is not None:
        offsets = wrap32(-zero * layer.packed.sums).astype(np.int32)
        return passes.depthwise(whole.shape, plan.windows, layer.centered, offsets)(whole)
    shape = (x.shape[0], plan.rows.out, plan.columns.out, x.shape[3])
    everything = Tile(slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    flat = _tile_sums(whole, zero, plan, layer.taps(plan.columns.out), everything)
    return flat.reshape(shape).astype(np.int32)


def _work(shape: tuple[int, ...], plan: WindowPlan) -> list[Tile]:
    """Tiles of whole lines."""
    pixels = max(plan.columns.out, TILE_VALUES // shape[3])
    return blocks(shape[0], plan.rows.out, plan.columns.out, pixels)


def _tile_sums(
    whole: npt.NDArray[np.uint8], zero: int, plan: WindowPlan, taps: Float32, tile: Tile
) -> Float32:
    """(images, lines, columns*channels) float32 sums of one tile of the padded input."""
    down, across = plan.rows.stride, plan.columns.stride
    first = tile.rows.start * down
    last = (tile.rows.stop - 1) * down + plan.rows.window
    phases = _phases(whole[tile.images, first:last], zero, across)
    channels, length = whole.shape[3], taps.shape[3]
    count = tile.rows.stop - tile.rows.start
    sums = np.zeros((phases[0].shape[0], count, length), dtype=np.float32)
    scratch = np.empty_like(sums)
    for ky, kx in product(range(plan.rows.window), range(plan.columns.window)):
        lines = phases[kx % across][:, ky : ky + (count - 1) * down + 1 : down]
        start = kx // across * channels
        np.multiply(lines[:, :, start : start + length], taps[ky, kx], out=scratch)
        np.add(sums, scratch, out=sums)
    return sums


def _phases(lines: npt.NDArray[np.uint8], zero: int, across: int) -> list[Float32]:
    """Every `across`-th column, flat, less zero: (images, lines, columns*channels) float32."""
    images, count = lines.shape[:2]
    return [
        np.subtract(lines[:, :, phase::across], F32(zero), dtype=np.float32).reshape(
            images, count, -1
        )
        for phase in range(across)
    ]


def _measured_columns(
    call: KernelCall, plan: WindowPlan, packed: PackedWeights
) -> tuple[int, WindowPlan]:
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
    return left, WindowPlan(plan.rows, wide)
