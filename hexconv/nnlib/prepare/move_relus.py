"""A Relu whose range comes only from convolutions is replaced by their requested minimum.

prepare.c do_move_relus: the Relu is removed, the convolution's minimum becomes 0, so its output
range is 0..max and its scale is smaller than after a Relu.
"""

from __future__ import annotations

from hexconv.nnlib.prepare.mutable_graph import Work

CONVOLUTIONS = ("Supernode_8x8p8to8", "Supernode_8x8p32to8")

KEEPS_RANGE = frozenset(
    (
        "DepthToSpace_8",
        "SpaceToDepth_8",
        "DepthToSpace_16",
        "SpaceToDepth_16",
        "BatchToSpaceND_8",
        "SpaceToBatchND_8",
        "QuantizedMaxPool_8",
        "QuantizedMaxPool_8_ref",
        "QuantizedMaxPool_8_d32",
        "QuantizedMaxPool_8_d32_ref",
        "QuantizedFakeConcat_8_d32",
    )
)
"""Ops with NN_NODE_FLAG_OUTPUT_USES_INPUT_RANGE."""


def run(work: Work) -> None:
    """Try every Relu in order."""
    for op in work.ops:
        if op.op == "QuantizedRelu_8" and lower_minimum(work, op.inputs[1].node):
            for port in range(3):
                work.redirect(op.ref(port), op.inputs[port])


def lower_minimum(work: Work, producer: int) -> bool:
    """Let the convolutions after a range start at 0; False if there is anything else.

    prepare.c find_range_node_visitor. Convolutions met before something else turns up stay
    changed, as there. Every node on the way may have one reader only.
    """
    if work.sole_reader(producer) is None:
        return False
    op = work.by_id.get(producer)
    if op is None:
        return False
    if op.op in KEEPS_RANGE:
        # The last input but one: the minimum of shape ops. For a pool it is the window, so no Relu
        # passes one.
        return lower_minimum(work, op.inputs[-2].node)
    if op.op == "QuantizedConcat_8":
        count = (len(op.inputs) - 1) // 3
        lows = op.inputs[1 + count : 1 + 2 * count]
        return all(lower_minimum(work, low.node) for low in lows)
    if op.op not in CONVOLUTIONS:
        return False
    op.inputs[10] = work.scalar(0.0)
    return True
