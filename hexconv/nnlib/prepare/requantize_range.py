"""RequantizationRange_32 with its Requantize_32to8 becomes QuantizeDownAndShrinkRange_32to8."""

from __future__ import annotations

from hexconv.nnlib.prepare.mutable_graph import Op, Work


def fuse(work: Work, op: Op) -> list[Op] | None:
    """prepare.c try_fuse_requantization_range."""
    if op.op != "RequantizationRange_32":
        return None
    requantize = work.sole_reader(op.id, ("Requantize_32to8",), check_inputs=False)
    if requantize is None or requantize.inputs[:3] != op.inputs[:3]:
        return None
    made = work.make(
        "",
        "QuantizeDownAndShrinkRange_32to8",
        op.inputs,
        requantize.outputs[:3],
        requantize.padding,
        like=requantize,
    )
    return [work.absorb(made, (op, requantize))]


def run(work: Work) -> None:
    """Apply to every node."""
    work.rewrite(fuse)
