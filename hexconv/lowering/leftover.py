"""Ops that were decomposed where that is possible: what is left of them is refused by name."""

from __future__ import annotations

from hexconv.errors import Refusal
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
        "indices that are computed or repeated", MOVES,
        "make the indices constants, each place once",
    ),
    "ScatterND": (
        "indices that are computed or repeated", MOVES,
        "make the indices constants, each place once",
    ),
    "Trilu": ("a diagonal that is computed", MOVES, "make k a constant"),
    "CumSum": (
        "an axis that is computed or has more than 2048 elements",
        "the running sum is a product with a square matrix", "sum in blocks",
    ),
    "ReduceProd": (
        "a product of more than 16 elements", "every factor adds its rounding",
        "sum logarithms instead",
    ),
    "ReduceL1": ("axes that are computed", MOVES, "make the axes constants"),
    "ReduceSumSquare": ("axes that are computed", MOVES, "make the axes constants"),
    "ReduceLogSum": ("axes that are computed", MOVES, "make the axes constants"),
    "ReduceLogSumExp": ("axes that are computed", MOVES, "make the axes constants"),
    "GroupNormalization": (
        "channels that do not divide into the groups", "", "change num_groups",
    ),
    "TopK": (
        "more than the one largest, or the smallest", "the library sorts nothing",
        "let the model answer the values, and sort on the CPU",
    ),
}  # fmt: skip


@lowers(*REASONS, integers=True)
def refuse(node: NodeView, ctx: Context) -> None:
    """What the decomposition declined."""
    what, why, todo = REASONS[node.op]
    raise Refusal(f"{node.op} with {what}", why=why, todo=todo)
