"""A convolution whose filter covers its whole input becomes SuperFC; 8-bit bias as int32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Output, Padding, Ref
from hexconv.nnlib.prepare.mutable_graph import Op, Work

FROM = ("Supernode_8x8p8to8", "Supernode_8x8p32to8")
MOST_BIAS = 16384


def instead_of_supernode(
    work: Work,
    last: Op,
    kind: str,
    padding: Padding,
    inputs: Sequence[Ref],
    outputs: Sequence[Output],
) -> Op | None:
    """prepare.c maybe_morph_supernode_to_superfc.

    The library checks the height of the output but, by an oversight, not its width.
    """
    weights = work.array(inputs[1])
    if weights is None:
        raise GraphError("the filter of a convolution has to be a Const", where=last.where)
    kh, kw, depth_in, depth_out = weights.shape
    size = kh * kw * depth_in
    fits = (
        outputs[0].shape[:2] == (1, 1)
        and ((kh == 1 and kw == 1) or padding is Padding.VALID)
        and depth_out % 16 == 0
        and depth_out >= 32
        and size % 16 == 0
        and size >= 32
        and work.declared(inputs[0]).shape[1:3] == (kh, kw)
    )
    if not fits:
        return None
    bias = list(inputs[7:10])
    if kind == "Supernode_8x8p8to8":
        bias = bias_to_int32(work, last, bias) or bias
    kept = [*inputs[:6], *bias, *inputs[10:12]]
    return work.make("", "SuperFC_8x8p32to8", kept, outputs, padding, like=last)


def bias_to_int32(work: Work, op: Op, bias: Sequence[Ref]) -> list[Ref] | None:
    """A uint8 const bias with its range as int32; None if it is too long.

    prepare.c convert_qu8_const_to_qint32: quantized values shifted left by 16, less the zero point.
    """
    codes, low, high = (work.array(ref) for ref in bias)
    if codes is None or low is None or high is None or codes.size > MOST_BIAS:
        return None
    f = np.float32
    step = f(np.float64(f(high.flat[0] - low.flat[0])) / 255.0)
    shift = f(f(f(low.flat[0]) * f(-65536.0)) / step)
    zero = int(np.copysign(np.floor(np.abs(np.float64(shift)) + 0.5), shift))
    top = float(f(step * f(32768.0)))
    wide = (codes.astype(np.int64) * 65536 - zero).astype(np.int32)
    name = f"{op.name}/bias"
    return [work.const(wide, name), work.scalar(-top), work.scalar(top)]
