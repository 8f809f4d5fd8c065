"""Requantize_32to8 with a const maximum, then Relu: the Relu becomes ReluX."""

from __future__ import annotations

from hexconv.nnlib.prepare.mutable_graph import Op, Work


def run(work: Work) -> None:
    """prepare.c try_make_reluX."""
    for op in work.ops:
        if op.op == "Requantize_32to8" and op.inputs[4].node in work.consts:
            relu = work.sole_reader(op.id, ("QuantizedRelu_8",))
            if relu is not None:
                make_relu_x(relu, op)


def make_relu_x(relu: Op, requantize: Op) -> None:
    """Cut off at the requested maximum."""
    relu.op = "QuantizedReluX_8"
    relu.inputs = [*relu.inputs[:3], requantize.inputs[4]]
    relu.padding = requantize.padding
