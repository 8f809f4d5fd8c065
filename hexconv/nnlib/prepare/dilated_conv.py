"""QuantizedDilatedConv2d: space to batch, a plain convolution, batch to space."""

from __future__ import annotations

import numpy as np

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Output, Padding
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.prepare.conv_chain import BIAS32, Triple, chain
from hexconv.nnlib.prepare.mutable_graph import SCALAR, Op, Work

OP = "QuantizedDilatedConv2d_8x8p32to8"


def expand(work: Work, op: Op) -> list[Op] | None:
    """expand_dilated_conv_nodes.c."""
    if op.op != OP:
        return None
    weights = work.need(op, 1, "filter")
    step_h, step_w = _dilation(work, op)
    b, h, w, d = work.declared(op.inputs[0]).shape
    top, left = -h % step_h, -w % step_w
    pads = work.const(np.array([[top, 0], [left, 0]], np.int32), f"{op.name}/pads")
    x, steps, low, high = op.inputs[0], op.inputs[10], op.inputs[3], op.inputs[4]
    spread = (b * step_h * step_w, (h + top) // step_h, (w + left) // step_w, d)
    to_batch = work.make(
        f"{op.name}/to_batch",
        "SpaceToBatchND_8",
        [x, steps, pads, low, high],
        (Output(spread, "uint8"), SCALAR, SCALAR),
    )
    shape = _conv_shape(spread, weights.shape, op.padding)
    nodes = chain(
        work,
        op.name,
        BIAS32,
        Triple.of(to_batch),
        Triple(op.inputs[1], op.inputs[5], op.inputs[6]),
        Triple(op.inputs[2], op.inputs[7], op.inputs[8]),
        (op.inputs[11], op.inputs[12]),
        op.inputs[9],
        op.inputs[13] if len(op.inputs) == 14 else None,
        shape,
        op.padding,
    )
    out = Triple.of(nodes[-1])
    gathered = (b, shape[1] * step_h - top, shape[2] * step_w - left, shape[3])
    to_space = work.make(
        f"{op.name}/to_space",
        "BatchToSpaceND_8",
        [out.data, steps, pads, out.low, out.high],
        (Output(gathered, "uint8"), SCALAR, SCALAR),
    )
    work.replace(op, to_space)
    return [to_batch, *nodes, to_space]


def _dilation(work: Work, op: Op) -> tuple[int, int]:
    """Steps along H and W; the library has them at stride 1 only."""
    step_h, step_w = (int(v) for v in work.need(op, 10, "dilation").flat[:2])
    stride = work.need(op, 9, "stride")
    if step_h < 1 or step_w < 1:
        raise GraphError(f"a dilation of {step_h}x{step_w}", where=op.where)
    if stride.shape[1:3] != (1, 1):
        raise GraphError(
            "a dilated convolution runs with stride 1 only",
            where=op.where,
            why=f"the stride is {stride.shape[1]}x{stride.shape[2]}",
        )
    return step_h, step_w


def _conv_shape(x: Shape4, weights: tuple[int, ...], padding: Padding) -> Shape4:
    b, h, w, _ = x
    if padding is Padding.SAME:
        return b, h, w, weights[3]
    return b, h - weights[0] + 1, w - weights[1] + 1, weights[3]


def run(work: Work) -> None:
    """Apply to every node."""
    if any(op.op == OP for op in work.ops):
        work.rewrite(expand)
