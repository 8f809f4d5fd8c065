"""Convert_to_d32 of a Convert_from_d32 is bypassed."""

from __future__ import annotations

from hexconv.nnlib.prepare.mutable_graph import Work

PAIRS = {
    "Convert_to_d32": "Convert_from_d32",
    "Convert_to_d32_16b": "Convert_from_d32_16b",
}


def run(work: Work) -> None:
    """prepare.c do_remove_unnecessary_d32_converts."""
    for op in work.ops:
        if op.op in PAIRS and work.producer(op.inputs[0]) == PAIRS[op.op]:
            work.redirect(op.ref(), work.by_id[op.inputs[0].node].inputs[0])
