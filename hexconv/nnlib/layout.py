"""How the axes of an ONNX tensor are laid out in the library's B, H, W, D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Shape4 = tuple[int, int, int, int]
SINGLE: Shape4 = (1, 1, 1, 1)
"""Of one number."""


@dataclass(frozen=True)
class Layout:
    """Which ONNX axes each of B, H, W and D holds, outermost first.

    `axes` has four groups that together name every ONNX axis once. NCHW laid out as BHWD is
    `((0,), (2,), (3,), (1,))`; a sequence [B,T,C] laid out as [1,B,T,C] is
    `((), (0,), (1,), (2,))`. A group of several axes is their row-major product.
    """

    axes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    @property
    def rank(self) -> int:
        """Rank of the ONNX tensor."""
        return sum(len(group) for group in self.axes)

    @property
    def order(self) -> tuple[int, ...]:
        """The ONNX axes from outermost to innermost in memory."""
        return tuple(axis for group in self.axes for axis in group)

    def shape(self, onnx_shape: Sequence[int]) -> Shape4:
        """The B, H, W, D sizes of a tensor of `onnx_shape` in this layout."""
        b, h, w, d = (prod(onnx_shape[axis] for axis in group) for group in self.axes)
        return b, h, w, d

    def pack(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Transpose an array from the ONNX order of axes to BHWD."""
        return np.ascontiguousarray(array.transpose(self.order)).reshape(self.shape(array.shape))

    def unpack(self, array: npt.NDArray[Any], onnx_shape: Sequence[int]) -> npt.NDArray[Any]:
        """Transpose a BHWD array back to the ONNX shape and order of axes."""
        order = self.order
        spread = array.reshape([onnx_shape[axis] for axis in order])
        # ascontiguousarray makes one axis of none.
        return np.ascontiguousarray(spread.transpose(np.argsort(order))).reshape(onnx_shape)

    @classmethod
    def plain(cls, rank: int) -> Layout:
        """ONNX order kept: ones on the left, or the leading axes beyond four as one."""
        groups: list[tuple[int, ...]] = [()] * (4 - rank) + [(axis,) for axis in range(rank)]
        first = tuple(axis for group in groups[:-3] for axis in group)
        return cls((first, groups[-3], groups[-2], groups[-1]))

    @classmethod
    def channels_last(cls, rank: int) -> Layout:
        """[N,C,spatial...] as BHWD: NC has no spatial axis, NCL is along W, NCHW is NHWC."""
        match rank:
            case 2:
                return cls(((0,), (), (), (1,)))
            case 3:
                return cls(((0,), (), (2,), (1,)))
            case 4:
                return cls(((0,), (2,), (3,), (1,)))
        raise ValueError(f"rank {rank} has no channels-last layout")
