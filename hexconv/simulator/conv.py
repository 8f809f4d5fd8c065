"""`Supernode_8x8p32to8`: convolution, bias and requantization in one node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Array
from hexconv.simulator.arithmetic import F32, Level, OutputRange, level_and_zero
from hexconv.simulator.conv_weights import PackedWeights, pack, squeezes
from hexconv.simulator.gain import Gain, Int, affine, choose_gain, codes
from hexconv.simulator.gemm import Gemm, Int32, tiles
from hexconv.simulator.output_range import as_tensor
from hexconv.simulator.patches import Tile, UInt8, blocks, padded, patches
from hexconv.simulator.registry import Call, kernel
from hexconv.simulator.window import Axis, plan_axis

T = TypeVar("T")

TILE_VALUES = 48 * 1024
"""Outputs of one tile: its sums in float64 stay in the second-level cache."""
TILE_BYTES = 512 * 1024
"""Patches of one tile."""
PARALLEL_PRODUCTS = 4_000_000
"""Multiplications below which handing tiles to other threads costs more than it saves."""
ATTEMPTS = 3
"""Executions that the library allows itself to find an output range."""


class Plan(NamedTuple):
    """Where the windows of a convolution lie, down and across."""

    rows: Axis
    columns: Axis

    def widened(self) -> Plan:
        """With the width rounded up to 4: the input supernode computes, and measures, that."""
        size = -(-self.columns.out // 4) * 4
        more = (size - self.columns.out) * self.columns.stride + self.columns.window
        return Plan(self.rows, replace(self.columns, out=size, after=self.columns.after + more))


@kernel("Supernode_8x8p32to8_d32", "InputSupernode_8x8p32to8_outd32")
def supernode(call: Call) -> list[Array]:
    """Convolution of uint8 by const uint8 with int32 bias, to a given or a found uint8 range.

    Inputs x, weights (kh,kw,in,out), x min, x max, w min, w max, stride (shape), bias, b min,
    b max, out min, out max, [channel scales (1,1,1,out)].

    Source: ops/src/op_supernode_new.c with include/supernode_utils.h.
    """
    is_input = call.op.startswith("Input")
    x = call.inputs[0]
    plan = make_plan(call)
    weight_level = level_and_zero(call.scalar(4), call.scalar(5))
    packed = call.memo("weights", lambda: _pack(call, weight_level.zero, is_input))
    gemm = call.memo("gemm", lambda: Gemm(packed.codes, packed.zero))
    guess = (-1 / 128, 1 / 128) if is_input else (0.0, 0.5)
    out = OutputRange.ask(call.scalar(10), call.scalar(11), guess)
    source = input_level(call)
    if out.fixed == 3:
        gain, offsets = remembered(call, lambda: scale(call, source, weight_level, packed, out))
        data = convolve(x, source.zero, plan, gemm, offsets, gain)
        return [data, as_tensor(out.minimum), as_tensor(out.maximum)]
    measured = sums(x, source.zero, plan.widened() if is_input else plan, gemm)
    gain, offsets = find_range(
        measured, out, lambda: scale(call, source, weight_level, packed, out), strict=is_input
    )
    kept = measured[:, :, : plan.columns.out]
    data = np.clip(codes(kept + offsets, gain), 0, 255).astype(np.uint8)
    return [data, as_tensor(out.minimum), as_tensor(out.maximum)]


def make_plan(call: Call) -> Plan:
    """Where the windows of a supernode lie, after checking that input and weights match."""
    x, weights, stride = call.inputs[0], call.inputs[1], call.inputs[6].shape
    if call.consts and not call.consts[1]:
        raise GraphError("the weights of a convolution have to be a const", where=call.op)
    kh, kw = weights.shape[:2]
    return Plan(
        rows=plan_axis(x.shape[1], kh, stride[1], call.padding, call.op),
        columns=plan_axis(x.shape[2], kw, stride[2], call.padding, call.op),
    )


def input_level(call: Call) -> Level:
    """Step and zero code of input 0."""
    low, high = call.scalar(2), call.scalar(3)
    if not np.isfinite(low) or not np.isfinite(high):
        raise GraphError(f"the input range {low} .. {high} is not finite", where=call.op)
    return level_and_zero(low, max(high, F32(low + F32(1e-18))))


def remembered(call: Call, make: Callable[[], T]) -> T:
    """`make()` while the input range stays what it was (it is a port, but hardly ever moves)."""
    key = (call.scalar(2), call.scalar(3))
    last: Any = call.cache.get("scale")
    if last is None or last[0] != key:
        last = (key, make())
        call.cache["scale"] = last
    value: T = last[1]
    return value


def scale(
    call: Call, source: Level, weights: Level, packed: PackedWeights, out: OutputRange
) -> tuple[Gain, Int]:
    """The gain, and what is added to the sums of each channel (`fill_bias_buf`)."""
    gain = choose_gain(source, weights.size, out, packed.factor, packed.largest)
    bias = full_bias(call.inputs[7], packed.codes.shape[1])
    step = F32(F32(call.scalar(9) - call.scalar(8)) * F32(2.0**-32))
    wanted = bias.astype(np.float32) * F32(step / gain.product)
    wanted = (wanted + F32(F32(-out.minimum) / gain.product)).astype(np.float32)
    if packed.inverse is not None:
        wanted = (wanted * packed.inverse).astype(np.float32)
    correction = packed.sums * source.zero
    final = np.rint(wanted - correction.astype(np.float32)).astype(np.int64)
    if np.abs(final).max(initial=0) >= 2**31:
        raise GraphError(
            "the bias overflows the accumulator", where=call.op, todo="widen the output range"
        )
    return gain, final + correction


def full_bias(bias: Array, channels: int) -> npt.NDArray[np.int32]:
    """The int32 bias of every channel; channels that it does not reach have none."""
    given = bias.reshape(-1).astype(np.int32)[:channels]
    return np.pad(given, (0, channels - given.size))


def convolve(
    x: Array, zero: int, plan: Plan, gemm: Gemm, offsets: Int, gain: Gain
) -> npt.NDArray[np.uint8]:
    """(B,Ho,Wo,out) uint8."""
    shape = (x.shape[0], plan.rows.out, plan.columns.out, offsets.size)
    result = np.empty(shape, dtype=np.uint8)
    line = affine(offsets, gain)

    def finish(rows: UInt8) -> Array:
        if line is not None:
            return gemm.requantized(rows, zero, *line)
        wide = gemm.accumulate(rows, zero).astype(np.int64) + offsets
        return np.clip(codes(wide, gain), 0, 255).astype(np.uint8)

    _each_tile(x, zero, plan, result, finish)
    return result


def sums(x: Array, zero: int, plan: Plan, gemm: Gemm) -> Int32:
    """(B,Ho,Wo,out) int32: the plain integer convolution."""
    channels = gemm.accumulate(np.zeros((0, plan_depth(x, plan)), np.uint8), zero).shape[1]
    shape = (x.shape[0], plan.rows.out, plan.columns.out, channels)
    result = np.empty(shape, dtype=np.int32)
    _each_tile(x, zero, plan, result, lambda rows: gemm.accumulate(rows, zero))
    return result


def plan_depth(x: Array, plan: Plan) -> int:
    """Values in one patch."""
    return plan.rows.window * plan.columns.window * int(x.shape[3])


def find_range(
    measured: Int32,
    out: OutputRange,
    scaled: Callable[[], tuple[Gain, Int]],
    *,
    strict: bool,
    attempts: int = ATTEMPTS,
) -> tuple[Gain, Int]:
    """Execute until the data fits a range that is found from it, as the first execution does.

    Args:
        measured: sums without bias, of all pixels that the library looks at.
        out: the range, grown here.
        scaled: gain and offsets of the range as it stands.
        strict: give up with an error, rather than with a range that clips.
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
        raise GraphError("the library does not find an output range", todo="give one")
    return gain, offsets


def _pack(call: Call, zero: int, is_input: bool) -> PackedWeights:
    weights = call.inputs[1]
    depth = call.inputs[0].shape[3]
    if weights.shape[2] != depth:
        raise GraphError(
            f"weights for {weights.shape[2]} channels meet an input of {depth}", where=call.op
        )
    if is_input:
        return pack(weights, zero, None, depth=4, squeeze=False)
    scales = channel_scales(call, weights.shape[3])
    whole = -(-depth // 32) * 32
    squeeze = squeezes(weights.shape, call.library)
    return pack(weights, zero, scales, depth=whole, squeeze=squeeze)


def channel_scales(call: Call, channels: int) -> npt.NDArray[np.float32] | None:
    """Input 12 if it is there and says anything (`load_channel_scales`)."""
    if len(call.inputs) < 13:
        return None
    scales = call.inputs[12].reshape(-1).astype(np.float32)
    if scales.size == 1 and scales[0] == 1:
        return None
    if scales.size != channels:
        raise GraphError(f"{scales.size} channel scales for {channels} channels", where=call.op)
    if not bool(((scales <= 1) & (scales >= F32(1 / 2048))).all()):
        raise GraphError("channel scales have to lie in 1/2048 .. 1", where=call.op)
    return scales


def _each_tile(
    x: Array, zero: int, plan: Plan, result: Array, finish: Callable[[UInt8], Array]
) -> None:
    """Fill `result` from the patches of each tile."""
    whole = padded(x, plan.rows, plan.columns, zero)
    view = patches(whole, plan.rows, plan.columns)
    depth, channels = plan_depth(x, plan), result.shape[3]
    pixels = max(16, min(TILE_VALUES // channels, TILE_BYTES // depth))
    work = blocks(result.shape[0], plan.rows.out, plan.columns.out, pixels)

    def run(tile: Tile) -> None:
        rows = np.ascontiguousarray(view[tile.images, tile.rows, tile.columns])
        target = result[tile.images, tile.rows, tile.columns]
        target[...] = finish(rows.reshape(-1, depth)).reshape(target.shape)

    heavy = result.size * depth >= PARALLEL_PRODUCTS
    tiles(run, work, parallel=heavy and len(work) > 1)
