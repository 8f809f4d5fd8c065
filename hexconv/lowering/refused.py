"""Ops that a decomposition takes in most forms, and the reason where it did not."""

from __future__ import annotations

from hexconv.decompose.recurrent import refusal
from hexconv.errors import Refusal
from hexconv.lowering.context import Context
from hexconv.lowering.registry import lowers
from hexconv.onnx_graph import NodeView


@lowers("LSTM", "GRU", "RNN")
def recurrent(node: NodeView, ctx: Context) -> None:
    """What was not unrolled."""
    raise Refusal(
        f"a {node.op} with {refusal(node.node)}",
        why="the library has no loops: each step becomes nodes of its own",
        todo="shorten the sequence, or cut the model there (--split)",
    )


@lowers("Einsum")
def einsum(node: NodeView, ctx: Context) -> None:
    """A diagonal, or axes that broadcast."""
    raise Refusal(
        f"the equation {node.attr('equation')}",
        why="a letter that an operand has twice is a diagonal, which the library cannot take",
        todo="write it as MatMul, Transpose and ReduceSum",
    )
