"""Which nodes use the d32 layout, and under which name (prepare.c depth32_replacement_op)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.prepare.mutable_graph import Op, Work

TO_D32 = "Convert_to_d32"
FROM_D32, FROM_D32_16 = "Convert_from_d32", "Convert_from_d32_16b"

Condition = Callable[[Work, Op], bool]


@dataclass(frozen=True)
class Depth32Rule:
    """The d32 form of an op.

    Args:
        d32: its name.
        converted: which inputs have to be in d32.
        when: whether this node takes that form.
        from_d32: whether the result has to be converted back.
        many: the inputs and outputs are ordered as those of Concat and Split.
    """

    d32: str
    when: Condition
    converted: tuple[int, ...] = (0,)
    from_d32: bool = True
    many: bool = False


def always(work: Work, op: Op) -> bool:
    """No condition."""
    return True


def after_d32(work: Work, op: Op) -> bool:
    """Only where the input is in d32 already."""
    return work.producer(op.inputs[0]) == FROM_D32


def _pad_without_depth(convert: str) -> Condition:
    def check(work: Work, op: Op) -> bool:
        if len(op.inputs) < 4 or work.producer(op.inputs[0]) != convert:
            return False
        pads = work.array(op.inputs[3])
        return pads is not None and 2 <= pads.size <= 8 and not pads.reshape(-1)[-2:].any()

    return check


def mirror_pad_in_plane(work: Work, op: Op) -> bool:
    """After d32, with no padding of batch or depth. The const looked at is input 3."""
    if len(op.inputs) < 4 or not after_d32(work, op):
        return False
    pads = work.array(op.inputs[3])
    if pads is None or not 1 <= pads.size * pads.itemsize // 8 <= 4:
        return False
    values = pads.reshape(-1).view(np.int32)
    return not values[:2].any() and (values.size < 8 or not values[6:8].any())


def softmax(work: Work, op: Op) -> bool:
    """After d32, or tall and wide enough; never after SuperFC."""
    source = work.producer(op.inputs[0])
    if source in (FROM_D32, "SuperFC_8x8p32to8"):
        return source == FROM_D32
    _, h, w, d = op.outputs[0].shape
    return h >= 4 and (w >= 8 or w == 4) and d > 2


def lrn_over_depth(work: Work, op: Op) -> bool:
    """The window has height and width 1."""
    return work.need(op, 3, "window").shape[1:3] == (1, 1)


def add(work: Work, op: Op) -> bool:
    """An operand in d32, or shapes that differ.

    For depths 1 to 3 the shipped library requires both operands in d32, unlike the open source.
    """
    shape = work.declared(op.inputs[0]).shape
    if shape != work.declared(op.inputs[1]).shape:
        return True
    in_d32 = [work.producer(ref) == FROM_D32 for ref in op.inputs[:2]]
    return all(in_d32) if shape[3] < 4 else any(in_d32)


def mul(work: Work, op: Op) -> bool:
    """Equal shapes, or one operand that broadcasts over the other in every axis that differs."""
    return spreads(work.declared(op.inputs[0]).shape, work.declared(op.inputs[1]).shape)


def spreads(a: Shape4, b: Shape4) -> bool:
    """prepare.c check_dims_equal_or_broadcastable."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
    if not pairs:
        return True
    b_spreads = pairs[0][1] == 1
    return all((y if b_spreads else x) == 1 for x, y in pairs)


def over_depth(position: int) -> Condition:
    """The const axis at an input is the last one."""

    def check(work: Work, op: Op) -> bool:
        axis = work.array(op.inputs[position])
        return axis is not None and int(axis.flat[0]) in (3, -1)

    return check


def split_depth(work: Work, op: Op) -> bool:
    """Along depth; as a convention also where input 0 is wired to the data."""
    if len(op.inputs) != 4:
        return False
    if op.inputs[0] == op.inputs[1]:
        return True
    return len(op.outputs) >= 4 and over_depth(0)(work, op)


def shuffle_by_2_or_4(work: Work, op: Op) -> bool:
    """The interleave factors that the d32 form has."""
    factor = work.array(op.inputs[0])
    return factor is not None and int(factor.flat[0]) in (2, 4)


def resize(work: Work, op: Op) -> bool:
    """All cases except those with a vectorized flat op, at depths 1 and 2.

    That is four times the size, and twice the size of a width that is a power of 2, without
    align_corners. The open source requires an output width that is a power of 2, whatever the size
    was; the shipped library does not (176 shapes run in both forms).
    """
    _, old_height, old_width, _ = work.declared(op.inputs[0]).shape
    _, height, width, depth = op.outputs[0].shape
    align = work.array(op.inputs[4]) if len(op.inputs) > 4 else None
    if depth > 2 or (align is not None and align.any()):
        return True
    if (height, width) == (4 * old_height, 4 * old_width):
        return False
    twice = (height, width) == (2 * old_height, 2 * old_width)
    return not (twice and old_width & (old_width - 1) == 0)


def batch_op(work: Work, op: Op) -> bool:
    """After d32, const block sizes of which the horizontal one is 1 to 4."""
    if len(op.inputs) < 5:
        return False
    block, pads = work.array(op.inputs[1]), work.array(op.inputs[2])
    if block is None or pads is None:
        return False
    if block.shape[3] >= 2 and not 1 <= int(block.flat[1]) <= 4:
        return False
    return after_d32(work, op)


def _depth_to_space(widths: tuple[int, ...]) -> Condition:
    def check(work: Work, op: Op) -> bool:
        """check_spaceop_ok_for_d32: input depth in 32s; so the output's, or 16 with width 2."""
        if len(op.inputs) < 4:
            return False
        depth = work.declared(op.inputs[0]).shape[3]
        block = work.array(op.inputs[1])
        if depth % 32 or block is None or not 1 <= block.shape[3] <= 2:
            return False
        block_h, block_w = int(block.flat[0]), int(block.flat[block.shape[3] - 1])
        if block_h < 1 or block_w not in widths:
            return False
        out, rest = divmod(depth, block_h * block_w)
        return out > 0 and rest == 0 and (out % 32 == 0 or (out == 16 and block_w == 2))

    return check


def _two(d32: str, when: Condition = always) -> Depth32Rule:
    return Depth32Rule(d32, when, converted=(0, 1))


RULES: dict[str, Depth32Rule] = {
    "Supernode_8x8p8to8": Depth32Rule("Supernode_8x8p8to8_d32", always),
    "Supernode_8x8p32to8": Depth32Rule("Supernode_8x8p32to8_d32", always),
    "Supernode_16x16p32to16": Depth32Rule("Supernode_u16x16p32to16_d32", always),
    "DepthwiseSupernode_8x8p8to8": Depth32Rule("DepthwiseSupernode_8x8p8to8_d32", always),
    "DepthwiseSupernode_8x8p32to8": Depth32Rule("DepthwiseSupernode_8x8p32to8_d32", always),
    "DepthwiseSupernode_16x16p32to16": Depth32Rule("DepthwiseSupernode_16x16p32to16_d32", always),
    "QuantizedBatchNorm_8x8p8to8": Depth32Rule("QuantizedBatchNorm_8x8p8to8_d32", always),
    "QuantizedBatchNorm_8x8p32to8": Depth32Rule("QuantizedBatchNorm_8x8p32to8_d32", always),
    "QuantizedMaxPool_8": Depth32Rule("QuantizedMaxPool_8_d32", always),
    "QuantizedAvgPool_8": Depth32Rule("QuantizedAvgPool_8_d32", always),
    "QuantizedPRelu_8": Depth32Rule("QuantizedPRelu_8_d32", always),
    "QuantizedPRelu_8_V2": Depth32Rule("QuantizedPRelu_8_V2_d32", always),
    "QuantizedHardSwish_8": Depth32Rule("QuantizedHardSwish_8_d32", always),
    "QuantizedConcat_8": Depth32Rule("QuantizedConcat_8_d32", always, many=True),
    "QuantizedConcat_u16": Depth32Rule("QuantizedConcat_u16_d32", always, many=True),
    "QuantizedSplit_8": Depth32Rule("QuantizedSplit_8_d32", split_depth, many=True),
    "QuantizedSoftmax_8": Depth32Rule("QuantizedSoftmax_8_d32", softmax),
    "QuantizedLRN_8": Depth32Rule("QuantizedLRN_8_d32", lrn_over_depth),
    "QuantizedSub_8p8to8": _two("QuantizedSub_8p8to8_d32"),
    "QuantizedAdd_8p8to8": _two("QuantizedAdd_8p8to8_d32", add),
    "QuantizedMul_8x8to8": _two("QuantizedMul_8x8to8_d32", mul),
    "QuantizedAdd_u16": _two("QuantizedAdd_u16_d32"),
    "QuantizedSub_u16": _two("QuantizedSub_u16_d32"),
    "QuantizedPad_8": Depth32Rule("QuantizedPad_8_d32", _pad_without_depth(FROM_D32)),
    "QuantizedPad_u16": Depth32Rule("QuantizedPad_u16_d32", _pad_without_depth(FROM_D32_16)),
    "MirrorPad_8": Depth32Rule("MirrorPad_8_d32", mirror_pad_in_plane),
    "Requantize_8to8": Depth32Rule("Requantize_8to8_d32", after_d32),
    "QuantizedInstanceNorm_8": Depth32Rule("QuantizedInstanceNorm_8_d32", always),
    "QuantizedInstanceNormBG_8": Depth32Rule("QuantizedInstanceNormBG_8_d32", always),
    "QuantizedInstanceNormBG_8_ref": Depth32Rule("QuantizedInstanceNormBG_8_d32_ref", always),
    "QuantizedTanh_8": Depth32Rule("QuantizedTanh_8_d32", after_d32),
    "QuantizedSigmoid_8": Depth32Rule("QuantizedSigmoid_8_d32", after_d32),
    "QuantizedNeg_8": Depth32Rule("QuantizedNeg_8_d32", after_d32),
    "QuantizedResizeBilinear_8": Depth32Rule("QuantizedResizeBilinear_8_d32", resize),
    "BatchToSpaceND_8": Depth32Rule("BatchToSpaceND_8_d32", batch_op),
    "SpaceToBatchND_8": Depth32Rule("SpaceToBatchND_8_d32", batch_op),
    "DepthToSpace_8": Depth32Rule("DepthToSpace_8_d32", _depth_to_space((1, 2, 3, 4, 8))),
    "DepthToSpace_16": Depth32Rule("DepthToSpace_16_d32", _depth_to_space((1, 2, 3, 4))),
    "ArgMax_8toInt32": Depth32Rule("ArgMax_8_d32", over_depth(1), from_d32=False),
    "ArgMin_8": Depth32Rule("ArgMin_8_d32", over_depth(1), from_d32=False),
}


def rule_for(work: Work, op: Op) -> Depth32Rule | None:
    """The d32 form that a node takes, or None where it stays as it is."""
    if op.op == "QuantizedChannelShuffle_8":
        if len(op.outputs) < 3 or not shuffle_by_2_or_4(work, op):
            return None
        many = len(op.inputs) > 4 or len(op.outputs) > 3
        return Depth32Rule("QuantizedChannelShuffle_8_d32", always, converted=(1,), many=many)
    rule = RULES.get(op.op)
    return rule if rule is not None and rule.when(work, op) else None


def input_supernode(work: Work, op: Op) -> str | None:
    """The op of a convolution that reads at most 4 channels, flat; None for any other.

    prepare.c do_convert_to_short_conv. A horizontal stride of 3 leaves such a node flat as well,
    under its own name.
    """
    if op.op not in ("Supernode_8x8p8to8", "Supernode_8x8p32to8"):
        return None
    weights = work.need(op, 1, "filter")
    stride_w = work.need(op, 6, "stride").shape[2]
    if weights.shape[2] > 4 or stride_w > 4 or len(op.inputs) >= 13:
        return None
    if stride_w > 1 and stride_w % 2:
        return op.op
    return f"Input{op.op}_outd32"
