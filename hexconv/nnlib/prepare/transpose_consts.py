"""A Transpose of a const is computed in prepare."""

from __future__ import annotations

import numpy as np

from hexconv.nnlib.prepare.mutable_graph import Op, Work

TRANSPOSES = ("Transpose_8", "QuantizedPermute_8", "Transpose_f", "Permute_f", "Transpose_int32")


def fold(work: Work, op: Op) -> list[Op] | None:
    """prepare.c do_transpose_consts. A permutation of n axes applies to the last n."""
    if op.op not in TRANSPOSES:
        return None
    values, order = work.array(op.inputs[0]), work.array(op.inputs[1])
    if values is None or order is None or order.size > 4 or order.shape[-1] != order.size:
        return None
    lead = 4 - order.size
    axes = [*range(lead), *(int(axis) + lead for axis in order.flat)]
    turned = np.ascontiguousarray(values.transpose(axes))
    work.redirect(op.ref(0), work.const(turned, f"{op.name}/const"))
    if len(op.outputs) == 3:
        work.redirect(op.ref(1), op.inputs[2])
        work.redirect(op.ref(2), op.inputs[3])
    return []


def run(work: Work) -> None:
    """Apply to every node."""
    if any(op.op in TRANSPOSES for op in work.ops):
        work.rewrite(fold)
