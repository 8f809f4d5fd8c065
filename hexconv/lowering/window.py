"""Padding of windows: the library mode that equals ONNX's padding exactly, or an explicit Pad.

The library has SAME (floor of half the padding before), SAME_CAFFE (ceil of half before) and VALID,
each for height and width together; ONNX has any number on any side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import UnsupportedOpError
from hexconv.lowering.context import Context
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.constraints import WIDEST_KERNEL
from hexconv.nnlib.graph import Padding
from hexconv.onnx_graph import NodeView


@dataclass(frozen=True)
class Window:
    """One spatial axis of a convolution or pool: sizes in elements."""

    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def extent(self) -> int:
        """Elements from the first tap to the last."""
        return (self.kernel - 1) * self.dilation + 1

    def dense(self) -> Window:
        """The same windows for a kernel with zeros between its taps."""
        return Window(self.size, self.extent, self.stride, 1, self.before, self.after)

    def repeated(self, count: int) -> Window:
        """The same windows, undilated, where each element is `count` of them."""
        sizes = (self.size, self.kernel, self.stride, self.before, self.after)
        size, kernel, stride, before, after = (number * count for number in sizes)
        return Window(size, kernel, stride, 1, before, after)

    def outputs(self, *, ceil: bool = False) -> int:
        """How many windows there are (ONNX Conv and pools; ceil_mode rounds up)."""
        free = self.size + self.before + self.after - self.extent
        if free < 0:
            raise UnsupportedOpError(
                f"a window of {self.extent} on {self.size + self.before + self.after} elements",
                hint="the kernel, dilated, must not be larger than the padded input",
            )
        count = -(-free // self.stride) if ceil else free // self.stride
        # A window that starts in the padding after the data does not count (ONNX, PyTorch).
        if ceil and count * self.stride >= self.size + self.before:
            count -= 1
        return count + 1


def undilated(kernel: Array, axes: Sequence[Window]) -> tuple[Array, list[Window]]:
    """A dilated kernel (kh, kw, ...) with zeros between its taps, and the windows that it has."""
    dense = np.zeros((axes[0].extent, axes[1].extent, *kernel.shape[2:]), np.float32)
    dense[:: axes[0].dilation, :: axes[1].dilation] = kernel
    return dense, [axis.dense() for axis in axes]


def windows(
    node: NodeView, sizes: Sequence[int], kernel: Sequence[int], *, dilated: bool = True
) -> list[Window]:
    """The windows of a Conv or pool node, one per spatial axis; auto_pad resolved."""
    rank = len(kernel)
    strides = list(node.attr("strides", [1] * rank))
    dilations = list(node.attr("dilations", [1] * rank)) if dilated else [1] * rank
    pads = list(node.attr("pads", [0] * (2 * rank)))
    auto = str(node.attr("auto_pad", "NOTSET"))
    if len(strides) != rank or len(dilations) != rank or len(pads) != 2 * rank:
        raise UnsupportedOpError(f"strides, dilations or pads do not fit a kernel of rank {rank}")
    if min(strides) < 1 or min(dilations) < 1:
        raise UnsupportedOpError(f"strides {strides} or dilations {dilations} below 1")
    result = []
    for axis in range(rank):
        before, after = pads[axis], pads[axis + rank]
        window = Window(sizes[axis], kernel[axis], strides[axis], dilations[axis])
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = _same_total(window)
            half = total // 2
            before, after = (half, total - half) if auto == "SAME_UPPER" else (total - half, half)
        elif auto == "VALID":
            before = after = 0
        result.append(
            Window(sizes[axis], kernel[axis], strides[axis], dilations[axis], before, after)
        )
    return result


def _same_total(window: Window) -> int:
    out = -(-window.size // window.stride)
    return max((out - 1) * window.stride + window.extent - window.size, 0)


def too_wide(axes: Sequence[Window]) -> bool:
    """Whether the columns of a convolution's kernel have to become rows.

    With a stride a dilated kernel is expanded with its zeros.

    Raises:
        UnsupportedOpError: there are too many rows to become columns as well.
    """
    height, width = (axis.kernel if axis.stride == 1 else axis.extent for axis in axes)
    if min(height, width) > WIDEST_KERNEL:
        raise wide(height, width)
    return width > WIDEST_KERNEL


def wide(height: int, width: int) -> UnsupportedOpError:
    """The error for a kernel with too many columns."""
    return UnsupportedOpError(
        f"a kernel of {height}x{width}",
        why=f"the library returns wrong values from {WIDEST_KERNEL + 1} columns on",
        hint="make it smaller, or split it into two convolutions in sequence",
    )


def mode(axes: Sequence[Window], counts: Sequence[int]) -> Padding | None:
    """The library's padding that positions every window as ONNX does, if there is one.

    Args:
        axes: height and width.
        counts: the number of windows that ONNX has on each.
    """
    for padding in (Padding.VALID, Padding.SAME, Padding.SAME_CAFFE):
        if all(_matches(w, n, padding) for w, n in zip(axes, counts, strict=True)):
            return padding
    return None


def _matches(window: Window, count: int, padding: Padding) -> bool:
    if padding is Padding.VALID:
        free = window.size - window.extent
        return window.before == 0 and free >= 0 and count == free // window.stride + 1
    if count != -(-window.size // window.stride):
        return False
    total = _same_total(window)
    before = total // 2 if padding is Padding.SAME else total - total // 2
    return window.before == before


def padded(
    ctx: Context, tensor: Tensor, axes: Sequence[Window], counts: Sequence[int], name: str
) -> Tensor:
    """The tensor with zeros around H and W, exactly as many as the windows read.

    Args:
        ctx: the conversion.
        tensor: (B,H,W,D).
        axes: height and width.
        counts: the number of windows on each.
        name: the tensor that it is for.
    """
    needed = [
        (n - 1) * w.stride + w.extent - w.size - w.before for w, n in zip(axes, counts, strict=True)
    ]
    sides = [(w.before, max(after, 0)) for w, after in zip(axes, needed, strict=True)]
    return pad(ctx, tensor, [(0, 0), *sides, (0, 0)], f"{name}/padded")


def pad(ctx: Context, tensor: Tensor, sides: Sequence[tuple[int, int]], name: str) -> Tensor:
    """Zeros around the tensor (QuantizedPad_8 without a value pads with the zero point)."""
    if not any(before or after for before, after in sides):
        return tensor
    inputs = [
        tensor.data,
        tensor.min,
        tensor.max,
        ctx.builder.ints(f"{name}_paddings", np.asarray(sides, np.int32)[None, None]),
    ]
    b, h, w, d = (
        size + before + after for size, (before, after) in zip(tensor.shape, sides, strict=True)
    )
    return ctx.copied("QuantizedPad_8", inputs, tensor, (b, h, w, d), name)
