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


@lowers("QuantizeLinear", "DequantizeLinear")
def quantization(node: NodeView, ctx: Context) -> None:
    """What did not become a range."""
    raise Refusal(
        f"a {node.op} that says no range of a whole tensor between two float ops",
        why="its scale differs by axis or block or is computed, or the model's answer is integers",
        todo="export with one constant scale a tensor, and with float inputs and outputs",
    )


@lowers("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger")
def dynamic_quantization(node: NodeView, ctx: Context) -> None:
    """What is not the usual chain of dynamic quantization."""
    raise Refusal(
        f"a {node.op} outside of a dynamically quantized product",
        why="integers and scales that are found at run time have no quantized form",
        todo="export the float model, or one with static QuantizeLinear and DequantizeLinear",
    )
