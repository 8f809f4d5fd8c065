"""QuantizedTransposeConv2d: pad, one convolution of stride 1 for all phases, depth to space.

expand_transpose_conv_nodes.c. With stride 1 there is no depth to space. Groups split the input
and concatenate the results; depthwise ones run a depthwise convolution for each phase.
"""

from __future__ import annotations

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.graph import Output, Padding, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.prepare import transpose_weights as tw
from hexconv.nnlib.prepare.conv_chain import Kinds, Triple, chain
from hexconv.nnlib.prepare.mutable_graph import SCALAR, Op, Work
from hexconv.nnlib.prepare.transpose_conv_plan import (
    FLAVORS,
    TransposeConvFlavor,
    TransposeConvPlan,
    plan_of,
)


def expand(work: Work, op: Op) -> list[Op] | None:
    """Replace one transposed convolution by the nodes of its expansion."""
    flavor = FLAVORS.get(op.op)
    if flavor is None:
        return None
    plan = plan_of(work, op, flavor)
    x = Triple(op.inputs[0], op.inputs[2], op.inputs[3])
    nodes: list[Op] = []
    if plan.multiplier > 1:
        nodes += _side_by_side(work, op, plan, x, flavor)
        x = Triple.of(nodes[-1])
    padded = _pad(work, op, plan, x, flavor)
    if padded is not None:
        nodes.append(padded)
        x = Triple.of(padded)
    if plan.depthwise:
        return nodes + _by_phase(work, op, plan, x, flavor)
    return nodes + _by_group(work, op, plan, x, flavor)


def _side_by_side(
    work: Work, op: Op, plan: TransposeConvPlan, x: Triple, flavor: TransposeConvFlavor
) -> list[Op]:
    """Bring the input channels of one output next to each other in the width."""
    b, h, w, d = plan.x
    before = (b, h, w // plan.multiplier, d * plan.multiplier)
    axis, groups = work.scalar(3, "int32"), work.scalar(d, "int32")
    shuffle = work.make(
        f"{op.name}/shuffle",
        "AxisShuffle_8",
        [x.data, axis, groups, x.low, x.high],
        (Output(before, flavor.kinds.dtype), SCALAR, SCALAR),
    )
    shape = work.const(np.array(plan.x, np.int32), f"{op.name}/shape")
    reshape = work.make(
        f"{op.name}/reshape",
        "QuantizedReshape",
        [shuffle.ref(0), shape, shuffle.ref(1), shuffle.ref(2)],
        (Output(plan.x, flavor.kinds.dtype), SCALAR, SCALAR),
    )
    return [shuffle, reshape]


def _pad(
    work: Work, op: Op, plan: TransposeConvPlan, x: Triple, flavor: TransposeConvFlavor
) -> Op | None:
    top, bottom, left, right = plan.input_padding
    more_depth = 0 if plan.depthwise else plan.depth - _depth_of(work, op)
    if not (top or bottom or left or right or more_depth):
        return None
    rows = np.array([[0, 0], [top, bottom], [left, right], [0, more_depth]], np.int32)
    b, h, w, d = plan.x
    shape = (b, h + top + bottom, w + left + right, d + more_depth)
    return work.make(
        f"{op.name}/pad",
        flavor.pad,
        [x.data, x.low, x.high, work.const(rows, f"{op.name}/padding")],
        (Output(shape, flavor.kinds.dtype), SCALAR, SCALAR),
    )


def _depth_of(work: Work, op: Op) -> int:
    return int(work.need(op, 1, "filter").shape[3])


def _by_group(
    work: Work, op: Op, plan: TransposeConvPlan, x: Triple, flavor: TransposeConvFlavor
) -> list[Op]:
    """[split,] a convolution for all phases and depth to space for each group[, concat]."""
    nodes: list[Op] = []
    parts = [x]
    share = plan.depth // plan.groups
    if plan.groups > 1:
        split = _split(work, op, plan, x, flavor)
        nodes.append(split)
        ends = split.ref(plan.groups), split.ref(plan.groups + 1)
        parts = [Triple(split.ref(group), *ends) for group in range(plan.groups)]
    sub = tw.phases(
        work.need(op, 1, "filter"),
        plan.stride,
        _zero_code(work, op, 4, flavor.levels),
        plan.filters,
        plan.depth,
    )
    tracks: list[Triple] = []
    shape: Shape4 = (*plan.out[:3], plan.filters)
    for group, part in enumerate(parts):
        kernel = tw.plain(sub[..., group * share : (group + 1) * share])
        last = plan.groups == 1
        conv = _chain(work, op, plan, part, flavor, kernel, group, last and plan.phases == 1)
        nodes += conv
        if plan.phases > 1:
            shape = _space_shape(plan)
            nodes.append(_to_space(work, op, plan, conv[-1], flavor, op if last else None, shape))
        tracks.append(Triple.of(nodes[-1]))
    if plan.groups > 1:
        shape = (*shape[:3], shape[3] * plan.groups)
        nodes.append(_concat(work, op, tracks, shape, op))
    return nodes


def _by_phase(
    work: Work, op: Op, plan: TransposeConvPlan, x: Triple, flavor: TransposeConvFlavor
) -> list[Op]:
    """A depthwise convolution for each phase, then concat and depth to space."""
    zero = _zero_code(work, op, 4, flavor.levels)
    sub = tw.phases(work.need(op, 1, "filter"), plan.stride, zero, plan.filters, plan.depth)
    nodes: list[Op] = []
    tracks: list[Triple] = []
    for kernel in tw.depthwise(sub, plan.multiplier, zero):
        nodes += _chain(work, op, plan, x, flavor, kernel, 0, plan.phases == 1)
        tracks.append(Triple.of(nodes[-1]))
    if plan.phases > 1:
        b, (h, w) = plan.out[0], plan.conv_size
        depth = plan.x[3] * plan.filters * plan.phases
        nodes.append(_concat(work, op, tracks, (b, h, w, depth), None))
        nodes.append(_to_space(work, op, plan, nodes[-1], flavor, op, plan.out))
    return nodes


def _chain(
    work: Work,
    op: Op,
    plan: TransposeConvPlan,
    x: Triple,
    flavor: TransposeConvFlavor,
    kernel: Array,
    group: int,
    is_last: bool,
) -> list[Op]:
    name = f"{op.name}/group{group}" if plan.groups > 1 else op.name
    kinds = flavor.kinds
    if plan.depthwise:
        conv = "QuantizedDepthwiseConv2d_8x8to32"
        kinds = Kinds(conv, kinds.bias_add, kinds.requantize, kinds.shrink, kinds.dtype)
    depth = kernel.shape[2] if plan.depthwise else kernel.shape[3]
    h, w = plan.conv_size
    filling = _zero_code(work, op, 9, 255) if kinds.shrink else 0
    bias = _repeated(work, op, plan, 8, group, depth, filling)
    scales = _repeated(work, op, plan, 13, group, depth, 1.0) if len(op.inputs) >= 14 else None
    stride = work.const(np.ones((1, 1, plan.multiplier, 1), np.uint8), f"{op.name}/stride")
    return chain(
        work,
        name,
        kinds,
        x,
        Triple(work.const(kernel, f"{name}/filter"), op.inputs[4], op.inputs[5]),
        Triple(bias, op.inputs[9], op.inputs[10]),
        (op.inputs[11], op.inputs[12]),
        stride,
        scales,
        (plan.out[0], h, w, depth),
        Padding.VALID,
        op if is_last else None,
    )


def _repeated(
    work: Work,
    op: Op,
    plan: TransposeConvPlan,
    position: int,
    group: int,
    depth: int,
    filling: float,
) -> Ref:
    """A group's share of a value per channel, repeated for every phase and padded."""
    values = work.need(op, position, "bias or channel scale").reshape(-1)
    share = values.size // plan.groups
    own = values[group * share : (group + 1) * share]
    repeats = 1 if plan.depthwise else plan.phases
    filled = np.full((repeats, depth // repeats), filling, values.dtype)
    filled[:, : own.size] = own
    return work.const(filled.reshape(-1), f"{op.name}/input{position}/group{group}")


def _to_space(
    work: Work,
    op: Op,
    plan: TransposeConvPlan,
    last: Op,
    flavor: TransposeConvFlavor,
    like: Op | None,
    shape: Shape4,
) -> Op:
    """Depth to space with the crop, and with the depth to keep where filters were padded."""
    keep = [plan.out[3] // plan.groups] if plan.filters_padded else []
    block = work.const(np.array(plan.stride, np.int32), f"{op.name}/block")
    crop = work.const(np.array([*plan.crop, *keep], np.int32), f"{op.name}/crop")
    outputs = op.outputs
    if like is None:
        outputs = (Output(shape, flavor.kinds.dtype), SCALAR, SCALAR)
    inputs = [last.ref(0), block, last.ref(1), last.ref(2), crop]
    name = f"{op.name}/to_space"
    return work.make(name, flavor.to_space, inputs, outputs, like=like)


def _space_shape(plan: TransposeConvPlan) -> Shape4:
    """The declared output of one group; with padded filters it is too deep."""
    b, h, w, d = plan.out
    share = d // plan.groups
    if plan.filters_padded:
        share = tw.round_up(share, 32) * plan.phases
    return b, h, w, share


def _split(
    work: Work, op: Op, plan: TransposeConvPlan, x: Triple, flavor: TransposeConvFlavor
) -> Op:
    top, bottom, left, right = plan.input_padding
    b, h, w, _ = plan.x
    shape = (b, h + top + bottom, w + left + right, plan.depth // plan.groups)
    parts = (Output(shape, flavor.kinds.dtype),) * plan.groups
    inputs = [work.scalar(3, "int32"), x.data, x.low, x.high]
    return work.make(f"{op.name}/split", "QuantizedSplit_8", inputs, (*parts, SCALAR, SCALAR))


def _concat(work: Work, op: Op, tracks: list[Triple], shape: Shape4, like: Op | None) -> Op:
    inputs = [
        work.scalar(3, "int32"),
        *(t.data for t in tracks),
        *(t.low for t in tracks),
        *(t.high for t in tracks),
    ]
    outputs = (Output(shape, "uint8"), SCALAR, SCALAR)
    return work.make(f"{op.name}/concat", "QuantizedConcat_8", inputs, outputs, like=like)


def _zero_code(work: Work, op: Op, position: int, levels: int) -> int:
    """The zero point of the range at inputs `position`, `position` + 1 (quantize.h)."""
    low = np.float32(work.need(op, position, "minimum").flat[0])
    high = np.float32(work.need(op, position + 1, "maximum").flat[0])
    value_range = max(np.float32(high - low), np.float32(1e-18))
    code = np.floor(
        np.float32(-low) * np.float32(np.float32(levels) / value_range) + np.float32(0.5)
    )
    return int(np.clip(code, 0, 255 if levels == 255 else 65535))


def run(work: Work) -> None:
    """Apply to every node."""
    if any(op.op in FLAVORS for op in work.ops):
        work.rewrite(expand)
