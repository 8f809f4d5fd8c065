"""Two operands that broadcast along sizes of one, in the form of the compiled passes."""

from __future__ import annotations

import ctypes
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hexconv.native.abi import FOUR, Pair, address

UInt8 = npt.NDArray[np.uint8]
Four = ctypes.Array[ctypes.c_int64]


def broadcast(a: UInt8, b: UInt8) -> tuple[Pair, UInt8, tuple[UInt8, UInt8]]:
    """Two operands and their output; the last are the arrays that it points to."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    shape, sizes, strides_a, strides_b = _plan(a.shape, b.shape)
    result = np.empty(shape, np.uint8)
    pair = Pair(address(a), address(b), address(result), sizes, strides_a, strides_b)
    return pair, result, (a, b)


def runs(pair: Pair) -> int:
    """How many innermost runs there are."""
    runs: int = pair.sizes[0] * pair.sizes[1] * pair.sizes[2]
    return runs


@lru_cache(maxsize=1024)
def _plan(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[tuple[int, ...], Four, Four, Four]:
    """The broadcast shape, and the sizes and strides of at most four runs that it reduces to.

    Adjacent axes along which each operand either advances or stays are merged.
    """
    shape = np.broadcast_shapes(a, b)
    axes: list[tuple[int, bool, bool]] = []
    for size, size_a, size_b in zip(shape, a, b, strict=True):
        if size == 1:
            continue
        moves = size_a > 1, size_b > 1
        if axes and axes[-1][1:] == moves:
            axes[-1] = (axes[-1][0] * size, *moves)
        else:
            axes.append((size, *moves))
    sizes = [1] * (4 - len(axes)) + [size for size, _, _ in axes]
    moves_a = [False] * (4 - len(axes)) + [move for _, move, _ in axes]
    moves_b = [False] * (4 - len(axes)) + [move for _, _, move in axes]
    return shape, FOUR(*sizes), FOUR(*_steps(sizes, moves_a)), FOUR(*_steps(sizes, moves_b))


def _steps(sizes: list[int], moves: list[bool]) -> list[int]:
    """Elements from one position to the next along each axis; 0 where the operand broadcasts."""
    steps, step = [0] * len(sizes), 1
    for axis in reversed(range(len(sizes))):
        if moves[axis]:
            steps[axis], step = step, step * sizes[axis]
    return steps
