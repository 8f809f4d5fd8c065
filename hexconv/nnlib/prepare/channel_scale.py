"""Channel scales of a convolution that cannot use them are multiplied into its weights."""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.prepare.mutable_graph import Op, Work

KINDS = frozenset(
    (
        "InputSupernode_8x8p8to8_outd32",
        "InputSupernode_8x8p32to8_outd32",
        "Supernode_8x8p8to8",
        "Supernode_8x8p32to8",
        "Supernode_8x8p8to8_ref",
        "Supernode_8x8p32to8_ref",
        "Supernode3322_8x8p8to8",
        "Supernode3322_8x8p32to8",
    )
)


def run(work: Work) -> None:
    """prepare_utils.c handle_channelscaled_supernode: the 13th input becomes 1.0."""
    for op in work.ops:
        if op.op in KINDS and len(op.inputs) == 13:
            squash(work, op)


def squash(work: Work, op: Op) -> None:
    """One scale goes into the weight range, several into the quantized weights."""
    weights, scales = work.need(op, 1, "filter"), work.need(op, 12, "channel scale")
    low = np.float32(work.need(op, 4, "filter minimum").flat[0])
    high = np.float32(work.need(op, 5, "filter maximum").flat[0])
    if not (low <= 0 <= high and low < high):
        raise GraphError(f"a weight range of {low:g}..{high:g}", where=op.where)
    if scales.size == 1:
        scale = np.float32(scales.flat[0])
        op.inputs[4] = work.scalar(float(np.float32(scale * low)))
        op.inputs[5] = work.scalar(float(np.float32(scale * high)))
    else:
        if scales.size not in (weights.shape[3], weights.shape[2]):
            raise GraphError(
                f"{scales.size} channel scales for {weights.shape[3]} channels", where=op.where
            )
        zero = int(np.clip(np.floor(-low * np.float32(255) / (high - low) + 0.5), 0, 255))
        op.inputs[1] = work.const(scaled_codes(weights, scales, zero), f"{op.name}/filter")
    op.inputs[12] = work.scalar(1.0)


def scaled_codes(weights: Array, scales: Array, zero: int) -> Array:
    """uint8 values moved towards the zero point by (1 - scale), in 15-bit fixed point."""
    scale = np.floor(scales.reshape(-1).astype(np.float32) * np.float32(32768) + 0.5)
    less = np.clip(32768 - scale.astype(np.int64), 0, 32767)
    codes = weights.reshape(-1, less.size).astype(np.int64)
    moved = codes - (((codes - zero) * less + 16384) >> 15)
    squashed: Array = np.clip(moved, 0, 255).astype(np.uint8).reshape(weights.shape)
    return squashed
