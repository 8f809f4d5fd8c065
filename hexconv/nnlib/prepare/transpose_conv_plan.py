"""The sizes of a transposed convolution's expansion (transpose_conv.py)."""

from __future__ import annotations

from dataclasses import dataclass

from hexconv.errors import GraphError
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.prepare import transpose_weights as tw
from hexconv.nnlib.prepare.conv_chain import BIAS32, Kinds
from hexconv.nnlib.prepare.mutable_graph import Op, Work


@dataclass(frozen=True)
class TransposeConvFlavor:
    """The ops for one element type (struct expand_transpose_conv_info)."""

    kinds: Kinds
    pad: str
    to_space: str
    levels: int
    pads_filters: bool
    has_depthwise: bool


BIAS8 = Kinds(
    "QuantizedConv2d_8x8to32",
    "QuantizedBiasAdd_8p8to32",
    "Requantize_32to8",
    "QuantizeDownAndShrinkRange_32to8",
)
WIDE = Kinds(
    "QuantizedConv2d_16x16to32", "QuantizedBiasAdd_32p32to32", "Requantize_32tou16", "", "uint16"
)
FLAVORS = {
    "QuantizedTransposeConv2d_8x8p32to8": TransposeConvFlavor(
        BIAS32, "QuantizedPad_8", "DepthToSpace_8", 255, True, True
    ),
    "QuantizedTransposeConv2d_8x8p8to8": TransposeConvFlavor(
        BIAS8, "QuantizedPad_8", "DepthToSpace_8", 255, True, True
    ),
    "QuantizedTransposeConv2d_16x16p32to16": TransposeConvFlavor(
        WIDE, "QuantizedPad_u16", "DepthToSpace_16", 65536, False, False
    ),
}


@dataclass(frozen=True)
class TransposeConvPlan:
    """Sizes of one expansion; (top, bottom) and (left, right) pairs.

    Args:
        groups: groups that run as separate convolutions.
        depthwise: whether a depthwise convolution does it.
        multiplier: input channels of one depthwise output.
        filters: output channels of one group after padding.
        filters_padded: whether they were padded to a multiple of 32.
        depth: input channels after padding.
        kernel: rows and columns of a sub-kernel as it runs.
        grown: how many of these were added to suit the depthwise kernel.
    """

    stride: tuple[int, int]
    groups: int
    depthwise: bool
    multiplier: int
    filters: int
    filters_padded: bool
    depth: int
    kernel: tuple[int, int]
    grown: tuple[int, int]
    pads: tuple[int, int, int, int]
    x: Shape4
    out: Shape4

    @property
    def phases(self) -> int:
        """Stride phases."""
        return self.stride[0] * self.stride[1]

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """What depth to space cuts off: top, bottom, left, right."""
        rows = (self.x[1] - 1 + self.kernel[0] - self.grown[0]) * self.stride[0]
        columns = self.x[2] // self.multiplier - 1
        columns += (self.kernel[1] - self.grown[1]) // self.multiplier
        columns *= self.stride[1]
        top, _, left, _ = self.pads
        return top, rows - top - self.out[1], left, columns - left - self.out[2]

    @property
    def input_padding(self) -> tuple[int, int, int, int]:
        """Zeros around the input: top, bottom, left, right; at stride 1 the pads are taken off."""
        top, bottom, left, right = self.pads if self.phases == 1 else (0, 0, 0, 0)
        rows, columns = self.kernel[0] - 1, self.kernel[1] - self.multiplier
        return (
            rows - top,
            rows - bottom - self.grown[0],
            columns - self.multiplier * left,
            columns - self.multiplier * right - self.grown[1],
        )

    @property
    def conv_size(self) -> tuple[int, int]:
        """Rows and columns of the convolution's output."""
        if self.phases == 1:
            return self.out[1], self.out[2]
        return (
            self.x[1] - 1 + self.kernel[0] - self.grown[0],
            self.x[2] + self.kernel[1] - self.grown[1] - self.multiplier,
        )


def plan_of(work: Work, op: Op, flavor: TransposeConvFlavor) -> TransposeConvPlan:
    """The sizes of one transposed convolution.

    Raises:
        GraphError: a stride or a number of groups below 1.
    """
    weights = work.need(op, 1, "filter")
    stride_h, stride_w = (int(v) for v in work.need(op, 7, "stride").shape[1:3])
    top, bottom, left, right = (int(v) for v in work.need(op, 6, "pads").flat[:4])
    groups = int(work.need(op, 14, "number of groups").flat[0]) if len(op.inputs) >= 15 else 1
    if stride_h < 1 or stride_w < 1 or groups < 1:
        raise GraphError(f"a stride of {stride_h}x{stride_w}, {groups} groups", where=op.where)
    x, out = work.declared(op.inputs[0]).shape, op.outputs[0].shape
    filters, kh, kw, depth = (int(v) for v in weights.shape)
    rows, columns = -(-kh // stride_h), -(-kw // stride_w)
    multiplier = _multiplier(groups, x, out, rows, kw * 2 // stride_w) * flavor.has_depthwise
    if multiplier:
        columns *= multiplier
        more_h, more_w = tw.depthwise_padding(rows, columns)
        return TransposeConvPlan(
            (stride_h, stride_w),
            1,
            True,
            multiplier,
            filters,
            False,
            depth,
            (rows + more_h, columns + more_w),
            (more_h, more_w),
            (top, bottom, left, right),
            (x[0], x[1], x[2] * multiplier, x[3] // multiplier),
            out,
        )
    # The shipped library leaves 1 to 3 channels unchanged, unlike the open source.
    padded = flavor.pads_filters and (1 < stride_w < 5 or stride_w == 8)
    padded = padded and (groups > 1 or filters > 3)
    return TransposeConvPlan(
        (stride_h, stride_w),
        groups,
        False,
        1,
        tw.round_up(filters, 32) if padded else filters,
        padded,
        tw.round_up(depth, groups),
        (rows, columns),
        (0, 0),
        (top, bottom, left, right),
        x,
        out,
    )


def _multiplier(groups: int, x: Shape4, out: Shape4, rows: int, columns_of_two: int) -> int:
    """Input channels of one output where a depthwise convolution does it, else 0."""
    if groups == 1 or groups != out[3]:
        return 0
    if groups == x[3]:
        return 1
    return 2 if 2 * groups == x[3] and columns_of_two < 7 and rows >= 2 else 0
