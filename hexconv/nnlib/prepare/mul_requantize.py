"""QuantizedMul_8x8to32 with its Requantize_32to8 becomes QuantizedMul_8x8to8 with a range.

Only the shipped library does this, and only in a graph that was appended with such a Mul: one that
prepare made of a depthwise convolution does not count (seen in runs of the v60 binary).
"""

from __future__ import annotations

from hexconv.nnlib.prepare.mutable_graph import Op, Work


def fuse(work: Work, op: Op) -> list[Op] | None:
    """The product keeps the range that was requested; an activation after it stays."""
    if op.op != "QuantizedMul_8x8to32":
        return None
    requantize = work.sole_reader(op.id, ("Requantize_32to8",))
    if requantize is None:
        return None
    inputs = [*op.inputs[:6], *requantize.inputs[3:5]]
    outputs = requantize.outputs[:3]
    made = work.make("", "QuantizedMul_8x8to8", inputs, outputs, op.padding, like=requantize)
    return [work.absorb(made, (op, requantize))]


def run(work: Work) -> None:
    """Apply to every node."""
    if "QuantizedMul_8x8to32" in work.appended:
        work.rewrite(fuse)
