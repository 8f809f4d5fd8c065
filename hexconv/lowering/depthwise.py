"""Depthwise convolutions in the cheapest form that the library computes exactly.

DepthwiseSupernode takes kernels of width 3, 5 or 7 with at least two rows, strides along W up to
2, and a multiplier of 1 (docs/nnlib/quirks.md#depthwise). At stride 2 a kernel 7 wide applies
the scales of all channels, which one 5 wide does not (nnlib/depthwise_code.py), for 5 to 10 % more
packets. Larger widths become rows: the input is stacked H' times, each copy shifted by the
kernel's new width, so that a kernel of 1 x (H' * w) is one of H' x w. A dense kernel with zeros
would cost a hundred times as much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hexconv.arrays import Array
from hexconv.lowering.conv_emitter import ConvEmitter
from hexconv.lowering.slice_concat import concatenated, sliced
from hexconv.lowering.window import Window, pad, undilated
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.depthwise_code import SLICE, scale_period, too_tall

OP = "DepthwiseSupernode_8x8p32to8"
WIDTHS = (3, 5, 7)
MAX_STRIDE_W = 2


def runs(axes: Sequence[Window], multiplier: int) -> bool:
    """Whether a depthwise convolution takes a form of this module, and none with more groups.

    Args:
        axes: height and width.
        multiplier: output channels of each input channel.
    """
    height, width = axes
    if multiplier != 1 or width.stride > MAX_STRIDE_W:
        return False
    if width.extent <= max(WIDTHS):
        return any(step >= width.extent and not too_tall(height.extent, step) for step in WIDTHS)
    return height.extent == 1 and height.size == 1


def lower(
    emitter: ConvEmitter, tensor: Tensor, kernel: Array, bias: Array, axes: Sequence[Window]
) -> Tensor:
    """A depthwise convolution.

    Args:
        emitter: emits the result.
        tensor: (B,H,W,C).
        kernel: (kh, kw, 1, C * multiplier).
        bias: (C * multiplier,).
        axes: height and width.
    """
    channels = tensor.shape[3]
    multiplier = bias.size // channels
    if not runs(axes, multiplier):
        return emitter.grouped(tensor, kernel, bias, axes, channels)
    if any(axis.dilation > 1 for axis in axes):
        kernel, axes = undilated(kernel, axes)
    kernel = kernel.transpose(0, 1, 3, 2)  # (kh, kw, C, 1)
    height, width = kernel.shape[:2]
    if width > max(WIDTHS):
        return _in_rows(emitter, tensor, kernel, bias, axes)
    own_scales = emitter.ctx.channel_scales and channels > SLICE
    size = _rows(height, axes[0].stride), _columns(height, width, axes[1].stride, own_scales)
    if size == (height, width):
        return emitter.supernode(OP, tensor, kernel, bias, axes)
    return _padded_kernel(emitter, tensor, kernel, bias, axes, size)


def _rows(height: int, stride: int) -> int:
    """The rows of a kernel that the library runs."""
    return max(height, 2 if stride > 1 or height > 1 else 3)


def _columns(height: int, width: int, stride: int, own_scales: bool) -> int:
    """The columns of a kernel that the library runs, with a scale for each channel if one can."""
    wider = [step for step in WIDTHS if step >= width and not too_tall(height, step)]
    able = [columns for columns in wider if scale_period(columns, stride) is None]
    return able[0] if own_scales and able else wider[0]


def _padded_kernel(
    emitter: ConvEmitter,
    tensor: Tensor,
    kernel: Array,
    bias: Array,
    axes: Sequence[Window],
    size: tuple[int, int],
) -> Tensor:
    """Zeros around a kernel up to a size: more padding before, the same windows."""
    grown, windows_ = kernel, []
    for axis, (window, want) in enumerate(zip(axes, size, strict=True)):
        extra = want - window.kernel
        lead = extra // 2
        sides = [(0, 0)] * 4
        sides[axis] = (lead, extra - lead)
        grown = np.pad(grown, sides)
        windows_.append(
            Window(
                window.size,
                want,
                window.stride,
                1,
                window.before + lead,
                window.after + extra - lead,
            )
        )
    return emitter.supernode(OP, tensor, grown, bias, windows_)


def _in_rows(
    emitter: ConvEmitter, tensor: Tensor, kernel: Array, bias: Array, axes: Sequence[Window]
) -> Tensor:
    """Widths over 7: `rows` shifted copies of the input along H, a kernel of rows x `step`."""
    time = axes[1]
    width = kernel.shape[1]
    # Fewer copies are cheaper even where their kernels are longer: 51.7 k packets in 5 rows of 7
    # for a width of 31 on 144 x 144, 67.0 k in 11 rows of 3.
    sizes = ((-(-width // step), step) for step in WIDTHS)
    rows, step = min(size for size in sizes if not too_tall(*size))
    count = emitter.counts[1]
    reach = (count - 1) * time.stride + step
    total = (rows - 1) * step + reach
    lead = time.before
    tail = max(total - tensor.shape[2] - lead, 0)
    base = pad(
        emitter.ctx, tensor, [(0, 0), (0, 0), (lead, tail), (0, 0)], f"{emitter.name}/padded"
    )
    copies = [
        sliced(emitter.ctx, base, 2, row * step, reach, f"{emitter.name}/row{row}")
        for row in range(rows)
    ]
    shape = (tensor.shape[0], rows, reach, tensor.shape[3])
    stacked = concatenated(emitter.ctx, copies, 1, shape, tensor.range, f"{emitter.name}/rows")
    grown = np.pad(kernel, ((0, 0), (0, rows * step - width), (0, 0), (0, 0)))
    folded = grown.reshape(rows, step, kernel.shape[2], 1)
    return emitter.supernode(
        OP, stacked, folded, bias, [Window(rows, rows), Window(reach, step, time.stride)]
    )
