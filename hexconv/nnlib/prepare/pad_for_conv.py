"""A wide kernel needs more padding than the d32 layout has: QuantizedPadForConv goes before it.

prepare_utils.c handle_oversize_d32_supernode.
"""

from __future__ import annotations

from dataclasses import replace

from hexconv.nnlib.graph import Padding
from hexconv.nnlib.prepare.mutable_graph import SCALAR, Op, Work

KINDS = frozenset(
    (
        "Supernode_8x8p8to8_d32",
        "Supernode_8x8p32to8_d32",
        "DepthwiseSupernode_8x8p8to8_d32",
        "DepthwiseSupernode_8x8p32to8_d32",
        "Supernode_u16x16p16to16_d32",
        "Supernode_u16x16p32to16_d32",
    )
)


def before(work: Work, op: Op) -> Op | None:
    """The padding node before a convolution, which becomes VALID; None if none is needed."""
    need = needed(work, op)
    if need is None:
        return None
    top, bottom, left, right = need
    source = work.declared(op.inputs[0])
    b, h, w, d = source.shape
    padded = replace(source, shape=(b, h + top + bottom, w + left + right, d))
    kind = "QuantizedPadForConv_u16_d32" if source.elsize == 2 else "QuantizedPadForConv_8_d32"
    inputs = [op.inputs[i] for i in (0, 2, 3, 1, 6)]
    made = work.make(f"{op.name}/pad", kind, inputs, (padded, SCALAR, SCALAR), op.padding)
    op.inputs[0], op.inputs[2], op.inputs[3] = made.ref(0), made.ref(1), made.ref(2)
    op.padding = Padding.VALID
    return made


def needed(work: Work, op: Op) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right) in the worst case of input sizes; None if the layout suffices."""
    if op.op not in KINDS or op.padding not in (Padding.NA, Padding.SAME, Padding.SAME_CAFFE):
        return None
    weights = work.array(op.inputs[1])
    if weights is None:
        return None
    kh, kw = weights.shape[:2]
    if (kh, kw) == (1, 1):
        return None
    if op.padding is Padding.NA:
        stride = work.array(op.inputs[6])
        if stride is None:
            return None
        kh, kw = max(kh + 1 - stride.shape[1], 1), max(kw + 1 - stride.shape[2], 1)
    less = 0 if op.padding is Padding.SAME_CAFFE else 1
    top, left = (kh - less) >> 1, (kw - less) >> 1
    bottom, right = kh - 1 - top, kw - 1 - left
    if max(top, bottom) > 4 or max(left, right) > 3 or (right > 0 and bottom > 3):
        return top, bottom, left, right
    return None
