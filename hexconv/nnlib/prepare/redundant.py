"""Quantize after Dequantize, and requantize to the range that a tensor has, are bypassed."""

from __future__ import annotations

from hexconv.nnlib.graph import Ref
from hexconv.nnlib.prepare.mutable_graph import Op, Work


def autoquantize_of_dequantize(work: Work) -> None:
    """prepare.c do_remove_unnecessary_quants."""
    for op in work.ops:
        if op.op == "AutoQuantize" and work.producer(op.inputs[0]) == "Dequantize":
            source = work.by_id[op.inputs[0].node]
            for port in range(3):
                work.redirect(op.ref(port), source.inputs[port])


def quantize_of_dequantize(work: Work) -> None:
    """Requantize_32to8, Dequantize, Quantize: prepare.c do_remove_unnecessary_dequant_quants."""
    for op in work.ops:
        if op.op == "Quantize" and work.producer(op.inputs[0]) == "Dequantize":
            source = work.by_id[op.inputs[0].node].inputs[0]
            bypass_if_same_range(work, op, source, op.inputs[1:3])


def requantize_of_requantize(work: Work) -> None:
    """Requantize_32to8, Requantize_8to8: prepare.c do_remove_unnecessary_requants."""
    for op in work.ops:
        if op.op == "Requantize_8to8":
            bypass_if_same_range(work, op, op.inputs[0], op.inputs[3:5])


def bypass_if_same_range(work: Work, op: Op, source: Ref, wanted: list[Ref]) -> None:
    """Let readers of `op` read the Requantize_32to8 at `source`, if its range is `wanted`."""
    if work.producer(source) != "Requantize_32to8":
        return
    requantize = work.by_id[source.node]
    theirs = [work.number(ref) for ref in requantize.inputs[3:5]]
    ours = [work.number(ref) for ref in wanted]
    if None not in theirs and theirs == ours:
        for port in range(3):
            work.redirect(op.ref(port), requantize.ref(port))


def run(work: Work) -> None:
    """All three, in the library's order."""
    autoquantize_of_dequantize(work)
    quantize_of_dequantize(work)
    requantize_of_requantize(work)
