"""QuantizedGroupedConv2d: split in depth, one convolution per group, concat."""

from __future__ import annotations

import numpy as np

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Output, Ref
from hexconv.nnlib.prepare.conv_chain import BIAS32, Triple, chain
from hexconv.nnlib.prepare.mutable_graph import SCALAR, Op, Work, shape4

OP = "QuantizedGroupedConv2d_8x8p32to8"
MOST_GROUPS = 1024


def expand(work: Work, op: Op) -> list[Op] | None:
    """expand_grouped_conv_nodes.c."""
    if op.op != OP:
        return None
    weights, bias = work.need(op, 1, "filter"), work.need(op, 2, "bias")
    groups = int(work.need(op, 10, "number of groups").flat[0])
    source = work.declared(op.inputs[0])
    b, h, w, depth_in = source.shape
    _check(op, groups, depth_in, shape4(weights), bias.shape[3])
    axis = work.scalar(3, "int32")
    parts = tuple(Output((b, h, w, depth_in // groups), source.dtype) for _ in range(groups))
    x, x_low, x_high = op.inputs[0], op.inputs[3], op.inputs[4]
    split = work.make(
        f"{op.name}/split",
        "QuantizedSplit_8",
        [axis, x, x_low, x_high],
        (*parts, SCALAR, SCALAR),
    )
    chains = [_group(work, op, split, group, groups) for group in range(groups)]
    ends = [Triple.of(nodes[-1]) for nodes in chains]
    concat = work.make(
        f"{op.name}/concat",
        "QuantizedConcat_8",
        [axis, *(e.data for e in ends), *(e.low for e in ends), *(e.high for e in ends)],
        (op.outputs[0], SCALAR, SCALAR),
    )
    work.replace(op, concat)
    # Stage by stage over all groups, as the library orders them.
    stages = [node for stage in zip(*chains, strict=True) for node in stage]
    return [split, *stages, concat]


def _group(work: Work, op: Op, split: Op, group: int, groups: int) -> list[Op]:
    """The convolution of one group."""
    b, h, w, depth = op.outputs[0].shape
    return chain(
        work,
        f"{op.name}/group{group}",
        BIAS32,
        Triple(split.ref(group), split.ref(groups), split.ref(groups + 1)),
        Triple(_share(work, op, 1, group, groups), op.inputs[5], op.inputs[6]),
        Triple(_share(work, op, 2, group, groups), op.inputs[7], op.inputs[8]),
        (op.inputs[11], op.inputs[12]),
        op.inputs[9],
        _share(work, op, 13, group, groups) if len(op.inputs) == 14 else None,
        (b, h, w, depth // groups),
        op.padding,
    )


def _share(work: Work, op: Op, position: int, group: int, groups: int) -> Ref:
    """The part of a const that belongs to one group: the last axis is split."""
    if groups == 1:
        return op.inputs[position]
    whole = work.need(op, position, "filter, bias or channel scale")
    part = np.ascontiguousarray(np.split(whole, groups, axis=3)[group])
    return work.const(part, f"{op.name}/input{position}/group{group}")


def _check(
    op: Op, groups: int, depth_in: int, filter_shape: tuple[int, int, int, int], bias_depth: int
) -> None:
    depth_out = filter_shape[3]
    reason = ""
    if not 1 <= groups <= min(depth_in, depth_out, MOST_GROUPS):
        reason = f"there can be 1 to {min(depth_in, depth_out, MOST_GROUPS)} groups, not {groups}"
    elif depth_in % groups or depth_out % groups:
        reason = f"depths {depth_in} and {depth_out} do not divide into {groups} groups"
    elif bias_depth != depth_out:
        reason = f"the bias has {bias_depth} channels, the output {depth_out}"
    elif filter_shape[2] != depth_in // groups:
        reason = f"the filter's depth is {filter_shape[2]}, not {depth_in // groups}"
    if reason:
        raise GraphError("the grouped convolution does not fit", where=op.where, why=reason)


def run(work: Work) -> None:
    """Apply to every node."""
    if any(op.op == OP for op in work.ops):
        work.rewrite(expand)
