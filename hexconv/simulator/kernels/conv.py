"""`Supernode_8x8p32to8`: convolution, bias and requantization in one node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hexconv import native
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.convolution_code import STRIDE, code_version
from hexconv.simulator.numerics.conv_weights import PackedWeights, pack
from hexconv.simulator.numerics.fixed_point import F32, as_range, round_int, sat_u8
from hexconv.simulator.numerics.gemm import Gemm, Int32
from hexconv.simulator.numerics.hvx import wrap32
from hexconv.simulator.numerics.im2col import Tile, UInt8, blocks, patches
from hexconv.simulator.numerics.output_range import OutputRange, QParams, level_and_zero
from hexconv.simulator.numerics.requantize_gain import Gain, Int, Requantizer, choose_gain, codes
from hexconv.simulator.numerics.window import WindowAxis, pad_space, plan_axis
from hexconv.simulator.registry import KernelCall, kernel
from hexconv.threads import each

TILE_VALUES = 48 * 1024
"""Outputs of one tile: its sums in float64 stay in the second-level cache."""
TILE_BYTES = 512 * 1024
"""Patches of one tile."""
PARALLEL_PRODUCTS = 4_000_000
"""Multiplications below which using other threads costs more than it saves."""
ATTEMPTS = 3
"""Executions in which the library searches for an output range."""


class WindowPlan(NamedTuple):
    """The positions of a convolution's windows, down and across."""

    rows: WindowAxis
    columns: WindowAxis

    @property
    def pointwise(self) -> bool:
        """Whether the pixels themselves are the patches: a 1x1 kernel, no stride or padding."""
        return all(
            axis.window == axis.stride == 1 and axis.before == axis.after == 0 for axis in self
        )

    @property
    def windows(self) -> native.Windows:
        """In the form of the compiled passes, on a padded input."""
        rows, columns = self
        return native.Windows(
            rows.out, columns.out, rows.window, columns.window, rows.stride, columns.stride
        )

    def widened(self) -> WindowPlan:
        """With the width rounded up to 4: the input supernode computes and measures that."""
        size = -(-self.columns.out // 4) * 4
        more = (size - self.columns.out) * self.columns.stride + self.columns.window
        return WindowPlan(
            self.rows, replace(self.columns, out=size, after=self.columns.after + more)
        )


@kernel("Supernode_8x8p32to8_d32", "InputSupernode_8x8p32to8_outd32")
def supernode(call: KernelCall) -> list[Array]:
    """Convolution of uint8 by const uint8 with int32 bias, to a given or a measured uint8 range.

    Inputs x, weights (kh,kw,in,out), x min, x max, w min, w max, stride (shape), bias, b min,
    b max, out min, out max, [channel scales (1,1,1,out)].

    Source: ops/src/op_supernode_new.c with include/supernode_utils.h.
    """
    x = call.inputs[0]
    layer = call.memo("layer", lambda: _layer(call))
    plan = make_plan(call)
    if layer.range_given:
        finish = call.settled(2, lambda: _finish(call, layer))
        return [convolve(x, plan, layer.gemm, finish), finish.minimum, finish.maximum]
    source, out = input_level(call), OutputRange.ask(call.scalar(10), call.scalar(11), layer.guess)
    is_input = call.op.startswith("Input")
    measured = sums(x, source.zero, plan.widened() if is_input else plan, layer.gemm)
    gain, offsets = find_range(
        measured, out, lambda: scale(call, source, layer.level, layer.packed, out), strict=is_input
    )
    finish = Requantizer.of(source.zero, gain, offsets, out, layer.packed.codes.shape[0])
    return [finish.codes(measured[:, :, : plan.columns.out]), finish.minimum, finish.maximum]


@dataclass(frozen=True)
class ConvLayer:
    """The consts of a supernode.

    Args:
        level: scale and zero point of the weights.
        packed: the weights.
        gemm: their matrix product.
        guess: the range that is tried first where none is given.
        range_given: whether both ends of the output range are.
    """

    level: QParams
    packed: PackedWeights
    gemm: Gemm
    guess: tuple[float, float]
    range_given: bool


def _layer(call: KernelCall) -> ConvLayer:
    if call.consts and not call.consts[1]:
        raise GraphError("the weights of a convolution have to be a const", where=call.op)
    is_input = call.op.startswith("Input")
    level = level_and_zero(call.scalar(4), call.scalar(5))
    packed = _pack(call, level.zero, is_input)
    return ConvLayer(
        level,
        packed,
        Gemm(packed.codes, packed.zero),
        (-1 / 128, 1 / 128) if is_input else (0.0, 0.5),
        bool(np.isfinite(call.scalar(10)) and np.isfinite(call.scalar(11))),
    )


def _finish(call: KernelCall, layer: ConvLayer) -> Requantizer:
    source, out = input_level(call), OutputRange.ask(call.scalar(10), call.scalar(11), layer.guess)
    gain, offsets = scale(call, source, layer.level, layer.packed, out)
    return Requantizer.of(source.zero, gain, offsets, out, layer.packed.codes.shape[0])


def make_plan(call: KernelCall) -> WindowPlan:
    """The positions of a supernode's windows on an input of this shape."""
    _, height, width, _ = call.inputs[0].shape
    last: Any = call.cache.get("plan")
    if last is None or last[0] != (height, width):
        (kh, kw), stride = call.inputs[1].shape[:2], call.inputs[6].shape
        plan = WindowPlan(
            rows=plan_axis(height, kh, stride[1], call.padding, call.op),
            columns=plan_axis(width, kw, stride[2], call.padding, call.op),
        )
        last = call.cache["plan"] = ((height, width), plan)
    known: WindowPlan = last[1]
    return known


def input_level(call: KernelCall) -> QParams:
    """Scale and zero point of input 0."""
    low, high = call.scalar(2), call.scalar(3)
    if not np.isfinite(low) or not np.isfinite(high):
        raise GraphError(f"the input range {low} .. {high} is not finite", where=call.op)
    return level_and_zero(low, max(high, F32(low + F32(1e-18))))


def scale(
    call: KernelCall, source: QParams, weights: QParams, packed: PackedWeights, out: OutputRange
) -> tuple[Gain, Int]:
    """The gain, and the offsets of each channel's sums (`fill_bias_buf`)."""
    gain = choose_gain(source, weights.size, out, packed.factor, packed.largest)
    bias = full_bias(call.inputs[7], packed.codes.shape[1])
    step = F32(F32(call.scalar(9) - call.scalar(8)) * F32(2.0**-32))
    wanted = bias.astype(np.float32) * F32(step / gain.product)
    wanted = (wanted + F32(F32(-out.minimum) / gain.product)).astype(np.float32)
    if packed.inverse is not None:
        wanted = (wanted * packed.inverse).astype(np.float32)
    correction = packed.sums * source.zero
    # Converted to 64 bits, of which 32 are kept.
    final = np.rint(wanted - correction.astype(np.float32)).astype(np.int64)
    return gain, wrap32(final) + correction


def full_bias(bias: Array, channels: int) -> npt.NDArray[np.int32]:
    """The int32 bias of every channel; channels beyond it have none."""
    given = bias.reshape(-1).astype(np.int32)[:channels]
    return np.pad(given, (0, channels - given.size))


def convolve(x: Array, plan: WindowPlan, gemm: Gemm, finish: Requantizer) -> npt.NDArray[np.uint8]:
    """(B,Ho,Wo,out) uint8."""
    passes = native.library()
    if passes is not None:
        whole = pad_space(x, plan.rows, plan.columns, finish.zero)
        codes: npt.NDArray[np.uint8] = gemm.windows(passes, whole, plan.windows, finish)
        return codes
    shape = (x.shape[0], plan.rows.out, plan.columns.out, finish.offsets.size)
    result = np.empty(shape, dtype=np.uint8)
    _each_tile(x, finish.zero, plan, result, lambda rows: gemm.requantized(rows, finish))
    return result


def sums(x: Array, zero: int, plan: WindowPlan, gemm: Gemm) -> Int32:
    """(B,Ho,Wo,out) int32: the plain integer convolution."""
    passes = native.library()
    if passes is not None:
        whole = pad_space(x, plan.rows, plan.columns, zero)
        wide: Int32 = gemm.windows(passes, whole, plan.windows, zero)
        return wide
    shape = (x.shape[0], plan.rows.out, plan.columns.out, gemm.columns)
    result = np.empty(shape, dtype=np.int32)
    _each_tile(x, zero, plan, result, lambda rows: gemm.accumulate(rows, zero))
    return result


def find_range(
    measured: Int32,
    out: OutputRange,
    scaled: Callable[[], tuple[Gain, Int]],
    *,
    strict: bool,
    attempts: int = ATTEMPTS,
) -> tuple[Gain, Int]:
    """Execute until the data fits a range that is measured from it, as the first execution does.

    Args:
        measured: sums without bias, of all pixels that the library looks at.
        out: the range, grown here.
        scaled: gain and offsets of the current range.
        strict: fail with an error, rather than with a range that clips.
        attempts: how often the library executes the node.
    """
    lowest = measured.min(axis=(0, 1, 2)).astype(np.int64)
    highest = measured.max(axis=(0, 1, 2)).astype(np.int64)
    for _ in range(attempts):
        gain, offsets = scaled()
        low = int(codes(lowest + offsets, gain).min())
        high = int(codes(highest + offsets, gain).max())
        if not out.grow(low, high):
            return gain, offsets
    if strict:
        raise GraphError("the library cannot find an output range", hint="give one")
    return gain, offsets


def _pack(call: KernelCall, zero: int, is_input: bool) -> PackedWeights:
    weights = call.inputs[1]
    depth = call.inputs[0].shape[3]
    if weights.shape[2] != depth:
        raise GraphError(
            f"weights for {weights.shape[2]} channels for an input of {depth}", where=call.op
        )
    if is_input:
        return pack(weights, zero, None, depth=4, squeeze=False)
    scales = channel_scales(call, weights.shape[3])
    whole = -(-depth // 32) * 32
    squeeze = code_version(weights.shape, call.inputs[STRIDE].shape[2], call.library) != "v60"
    return pack(weights, zero, scales, depth=whole, squeeze=squeeze)


def channel_scales(call: KernelCall, channels: int) -> npt.NDArray[np.float32] | None:
    """Input 12 if it is given and not neutral (`load_channel_scales`)."""
    if len(call.inputs) < 13:
        return None
    scales = call.inputs[12].reshape(-1).astype(np.float32)
    if scales.size == 1 and scales[0] == 1:
        return None
    if scales.size != channels:
        raise GraphError(f"{scales.size} channel scales for {channels} channels", where=call.op)
    if not bool(((scales <= 1) & (scales >= F32(1 / 2048))).all()):
        raise GraphError("channel scales have to be in 1/2048 .. 1", where=call.op)
    return scales


def _each_tile(
    x: Array, zero: int, plan: WindowPlan, result: Array, output: Callable[[UInt8], Array]
) -> None:
    """Fill `result` from the patches of each tile."""
    whole = pad_space(x, plan.rows, plan.columns, zero)
    depth, channels = plan.rows.window * plan.columns.window * x.shape[3], result.shape[3]
    pixels = max(16, min(TILE_VALUES // channels, TILE_BYTES // depth))
    if plan.pointwise and result.size <= pixels * channels:
        result[...] = output(whole.reshape(-1, depth)).reshape(result.shape)
        return
    view = patches(whole, plan.rows, plan.columns)
    work = blocks(result.shape[0], plan.rows.out, plan.columns.out, pixels)

    def run(tile: Tile) -> None:
        rows = np.ascontiguousarray(view[tile.images, tile.rows, tile.columns])
        target = result[tile.images, tile.rows, tile.columns]
        target[...] = output(rows.reshape(-1, depth)).reshape(target.shape)

    heavy = result.size * depth >= PARALLEL_PRODUCTS
    each(run, work, parallel=heavy and len(work) > 1)


@kernel("QuantizedPadForConv_8_d32")
def pad_for_conv(call: KernelCall) -> list[Array]:
    """Pad as the convolution that follows would, so that it can run with VALID padding.

    Inputs x, min, max, weights, stride (shape); only the sizes of the last two are read.
    Source: ops/src/op_pad_d32.c.
    """
    x, weights, stride = call.inputs[0], call.inputs[3].shape, call.inputs[4].shape
    low, high = call.scalar(1), call.scalar(2)
    zero = sat_u8(round_int(F32(F32(F32(255) * F32(-low)) / F32(high - low))))
    plan = WindowPlan(
        rows=plan_axis(x.shape[1], weights[0], stride[1], call.padding, call.op),
        columns=plan_axis(x.shape[2], weights[1], stride[2], call.padding, call.op),
    )
    data = pad_space(x.astype(np.uint8), plan.rows, plan.columns, zero)
    return [data, *as_range(low, high)]
