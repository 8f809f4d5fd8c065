"""Samples whose length is not the model's: cropped, or padded with zeros, along one axis."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import SampleWarning

Shape = Sequence[int]


def other_axis(shape: Shape, wanted: Shape, free: Sequence[int]) -> int | None:
    """The one axis along which a sample has another length than the model; None for others.

    Only axes count whose size the ONNX file leaves open, and the only one that is longer than 1.

    Args:
        shape: of the sample.
        wanted: of the input.
        free: the axes that the file leaves open.
    """
    if len(shape) != len(wanted) or 0 in shape:
        return None
    long = [axis for axis, size in enumerate(wanted) if size > 1]
    differ = [axis for axis, size in enumerate(shape) if size != wanted[axis]]
    lengths = {*free, *(long if len(long) == 1 else ())}
    return differ[0] if len(differ) == 1 and differ[0] in lengths else None


def in_rank(array: Array, wanted: Shape, free: Sequence[int]) -> Array:
    """An array with a leading one where the input has it and the sample is one without."""
    if tuple(wanted[:1]) == (1,) and array.ndim == len(wanted) - 1:
        inner = [axis - 1 for axis in free if axis > 0]
        rest = wanted[1:]
        if array.shape == tuple(rest) or other_axis(array.shape, rest, inner) is not None:
            return array[None]
    return array


def fitted(array: Array, wanted: Shape, free: Sequence[int]) -> Array:
    """A sample in the input's length; one of another kind of shape as it is."""
    array = in_rank(array, wanted, free)
    axis = other_axis(array.shape, wanted, free)
    if axis is None:
        return array
    cut: tuple[Any, ...] = (slice(None),) * axis + (slice(wanted[axis]),)
    pads = [(0, max(0, size - have)) for size, have in zip(wanted, array.shape, strict=True)]
    return np.pad(array[cut], pads)


def warn_of_length(name: str, wanted: Shape, given: Shape, where: str) -> None:
    """Warn of the first sample that was cropped or padded, unless it only lacks a leading one.

    Warns:
        SampleWarning: naming the axis and both lengths.
    """
    shape = [*(1,) * (len(wanted) - len(given)), *given]
    for axis, (length, have) in enumerate(zip(wanted, shape, strict=True)):
        if length != have:
            warnings.warn(
                f"samples of input '{name}' are cropped, or padded with zeros, to {length} along "
                f"axis {axis}: the first such, {where}, has {have}",
                SampleWarning,
                stacklevel=2,
            )
