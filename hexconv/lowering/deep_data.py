"""Convolutions of more channels than the library takes: parts of them beside each other on W."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from hexconv.arrays import Array
from hexconv.errors import UnsupportedOpError
from hexconv.lowering.context import Context
from hexconv.lowering.window import Window, undilated
from hexconv.nnlib.builder import Tensor
from hexconv.nnlib.constraints import DEEPEST_CONVOLUTION, MOST_PRODUCTS, WIDEST_KERNEL


def in_parts(
    ctx: Context, tensor: Tensor, kernel: Array, axes: Sequence[Window], name: str
) -> tuple[Tensor, Array, Sequence[Window]]:
    """The same convolution, of data that are no deeper than the library takes.

    Channels follow each other in memory, so that each part of them is a column of its own.

    Args:
        ctx: the conversion.
        tensor: the data.
        kernel: (kh, kw, channels, outputs).
        axes: the windows on H and W.
        name: of the result.

    Raises:
        UnsupportedOpError: no number of parts fits, or the products are too many.
    """
    height, width, depth, outputs = kernel.shape
    if prod((height, width, depth)) > MOST_PRODUCTS:
        raise UnsupportedOpError(
            f"a sum of {height * width * depth} products",
            why=f"beyond {MOST_PRODUCTS} the library rounds the sum of the weights",
            hint="split the input, and add the results of its parts",
        )
    if depth <= DEEPEST_CONVOLUTION:
        return tensor, kernel, axes
    if any(axis.dilation > 1 for axis in axes):
        kernel, axes = undilated(kernel, axes)
        height, width = kernel.shape[:2]
    parts = next((n for n in range(2, WIDEST_KERNEL // width + 1) if _divides(depth, n)), None)
    if parts is None:
        raise too_deep(depth)
    b, h, w, _ = tensor.shape
    apart = ctx.reshaped(tensor, (b, h, w * parts, depth // parts), f"{name}/parts")
    columns = kernel.reshape(height, width * parts, depth // parts, outputs)
    return apart, columns, [axes[0], axes[1].repeated(parts)]


def too_deep(depth: int) -> UnsupportedOpError:
    """The error for data of too many channels."""
    return UnsupportedOpError(
        f"a convolution of data with {depth} channels",
        why=f"the library crashes on more than {DEEPEST_CONVOLUTION}",
        hint="split the channels, and add the results of their convolutions",
    )


def _divides(depth: int, parts: int) -> bool:
    """Whether so many equal parts of these channels are few enough for a convolution each."""
    return depth % parts == 0 and depth // parts <= DEEPEST_CONVOLUTION
