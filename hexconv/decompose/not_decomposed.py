"""Ops that are decomposed in most forms, and the reason where they are not."""

from __future__ import annotations

import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.decompose.recurrent import unlike_sizes, unsupported_op
from hexconv.decompose.steps import NODES, is_bidirectional, steps_of
from hexconv.errors import UnsupportedOpError
from hexconv.lowering.context import Context
from hexconv.lowering.registry import lowers
from hexconv.onnx_graph import NodeView

MOVES = "the DSP moves data by a fixed plan"
CONSTANT = "make the indices constants in the model"
REASONS = {
    "GatherElements": ("indices that are computed, or out of range", MOVES, CONSTANT),
    "GatherND": ("indices that are computed, or out of range", MOVES, CONSTANT),
    "ReverseSequence": ("lengths that are computed", MOVES, "reverse the whole axis with Slice"),
    "ScatterElements": (
        "indices that are computed or repeated",
        MOVES,
        "make the indices constants, each position once",
    ),
    "ScatterND": (
        "indices that are computed or repeated",
        MOVES,
        "make the indices constants, each position once",
    ),
    "Trilu": ("a diagonal that is computed", MOVES, "make k a constant"),
    "Col2Im": (
        "an image of three axes, or sizes that are computed",
        "it is a transposed convolution, which the library has in one or two axes",
        "make the sizes constants, and fold two axes at a time",
    ),
    "CumSum": (
        "an axis that is computed or has more than 2048 elements",
        "the running sum is a product with a square matrix",
        "sum in blocks",
    ),
    "ReduceProd": (
        "a product of more than 16 elements",
        "every factor adds its rounding",
        "sum logarithms instead",
    ),
    "ReduceL1": ("axes that are computed", MOVES, "make the axes constants"),
    "ReduceSumSquare": ("axes that are computed", MOVES, "make the axes constants"),
    "ReduceLogSum": ("axes that are computed", MOVES, "make the axes constants"),
    "ReduceLogSumExp": ("axes that are computed", MOVES, "make the axes constants"),
    "GroupNormalization": (
        "channels that do not divide into the groups",
        "",
        "change num_groups",
    ),
    "TopK": (
        "more than the single largest or smallest element",
        "the library cannot sort",
        "cut the model before this node and sort on the CPU (--split auto)",
    ),
}


@lowers(*REASONS, integers=True)
def raise_unsupported(node: NodeView, ctx: Context) -> None:
    """A form without a decomposition."""
    what, why, hint = REASONS[node.op]
    raise UnsupportedOpError(f"{node.op} with {what}", why=why, hint=hint)


@lowers("LSTM", "GRU", "RNN")
def recurrent(node: NodeView, ctx: Context) -> None:
    """A recurrent node that was not unrolled."""
    if sizes := unlike_sizes(node.node):
        raise UnsupportedOpError(
            f"{node.op} with {sizes}",
            why="the sizes of its inputs, and hidden_size, contradict each other",
            hint="export the model again",
        )
    raise UnsupportedOpError(
        f"{node.op} with {unsupported_op(node.node)}",
        why="the library has no loops: each step becomes nodes of its own",
        hint=_hint(node.node),
    )


def _hint(node: ir.Node) -> str:
    """What to do with a recurrent node that is not unrolled."""
    steps, both = steps_of(node), is_bidirectional(node)
    nodes = NODES * steps
    if steps <= notes_of(node).most_steps:
        return "cut the model there (--split)"
    if _is_chunk(node):
        return (
            "give the frames of a shorter chunk (--shape), unroll it (--unroll "
            f"{steps}: some {nodes} nodes), or cut the model there (--split)"
        )
    if both:
        return f"unroll it (--unroll {steps}: some {nodes} nodes), or cut the model there (--split)"
    return (
        f"make a model of one chunk (--stateful), unroll it (--unroll {steps}: some {nodes} "
        "nodes), or cut the model there (--split)"
    )


def _is_chunk(node: ir.Node) -> bool:
    """Whether the state of a recurrent node is outside of the model."""
    state = node.inputs[5] if len(node.inputs) > 5 else None
    return state is not None and state.is_graph_input()


@lowers("Einsum")
def einsum(node: NodeView, ctx: Context) -> None:
    """An equation with a diagonal, or with axes that broadcast."""
    raise UnsupportedOpError(
        f"the equation {node.attr('equation')}",
        why="a letter twice in one operand is a diagonal, which the library does not support",
        hint="write it as MatMul, Transpose and ReduceSum",
    )


@lowers("QuantizeLinear", "DequantizeLinear", integers=True)
def quantization(node: NodeView, ctx: Context) -> None:
    """A quantization node whose integers are not what floats become and are made of again."""
    raise UnsupportedOpError(
        f"a {node.op} whose integers do not stand for floats with constant scales",
        why="its scale is computed, or other ops compute with its integers",
        hint="export with constant scales and a DequantizeLinear for each QuantizeLinear, convert "
        "the float model, or cut the model before this node (--split)",
    )


@lowers("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", integers=True)
def dynamic_quantization(node: NodeView, ctx: Context) -> None:
    """A node outside the usual pattern of dynamic quantization."""
    raise UnsupportedOpError(
        f"a {node.op} outside of a dynamically quantized product",
        why="integers and scales computed at run time have no quantized form",
        hint="convert the float model, or one with static QuantizeLinear and DequantizeLinear, or "
        "cut the model before this node (--split)",
    )
