"""A 3x3 convolution from 2 to 2 channels has a separate kernel."""

from __future__ import annotations

import numpy as np

from hexconv.nnlib.prepare.mutable_graph import Op, Work

KINDS = {
    "Supernode_8x8p8to8": "Supernode3322_8x8p8to8",
    "Supernode_8x8p32to8": "Supernode3322_8x8p32to8",
}


def fits(work: Work, op: Op) -> bool:
    """prepare.c do_make_supernode_3322: stride 1 and a const output range without infinity."""
    weights, stride = work.array(op.inputs[1]), work.array(op.inputs[6])
    if weights is None or weights.shape != (3, 3, 2, 2):
        return False
    if stride is None or stride.shape[1:3] != (1, 1):
        return False
    low, high = work.array(op.inputs[10]), work.array(op.inputs[11])
    if low is None or high is None:
        return False
    return bool(low.flat[0] != -np.inf and high.flat[0] != np.inf)


def run(work: Work) -> None:
    """Rename the nodes that qualify."""
    for op in work.ops:
        if op.op in KINDS and len(op.inputs) >= 12 and fits(work, op):
            op.op = KINDS[op.op]
