"""Which of its strategies the library uses for a Transpose (nnlib src/gentranspose.c, analyze).

Axes that stay together are merged into rows of (count, stride in the output, stride in the
input), innermost first; the first rows decide the strategy, and the strategy the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

VECTOR = 128
SCALARS = (1, 2, 4, 8)
BULK_BYTES = 48  # the minimum width and height for a bulk transpose
BULK_TOTAL = 2048


@dataclass(frozen=True)
class Strategy:
    """How a transposition is executed.

    Args:
        kind: copy, rows (2-D copies of long runs), scalar (element by element), bulk (in blocks
            of vectors), tiles (other vector code).
        calls: number of calls of its inner routine.
        runs: contiguous runs that it moves.
        run: bytes of one.
        blocks: bulk only: blocks of a work area of 128 x 128 bytes.
        vectors: vectors of 128 bytes that the runs touch (rows), or that whole rows have (bulk).
        ragged: of the vectors of bulk, those in rows that do not end on a vector.
    """

    kind: str
    calls: int
    runs: int
    run: int
    blocks: int = 0
    vectors: int = 0
    ragged: int = 0


@dataclass
class _Row:
    count: int
    out_step: int
    in_step: int


def strategy(shape: Sequence[int], perm: Sequence[int], elsize: int = 1) -> Strategy:
    """The strategy for a shape and a permutation of its last `len(perm)` axes."""
    rows, outer = _without_outer(_merged(shape, perm, elsize))
    total = prod(shape) * elsize
    inner = rows[0].count
    if len(rows) < 3:
        return Strategy("copy", 1, 1, inner)
    across, down = rows[1].count, rows[2].count
    if len(rows) == 3 and _is_tile(inner, across, down):
        return Strategy("tiles", outer, total // inner, inner)
    turned = next((row.count for row in rows[2:] if row.in_step == inner), 0)
    narrow = inner <= 16 and _power_of_two(inner)
    wide = inner * across >= BULK_BYTES and inner * turned >= BULK_BYTES
    if narrow and wide and total // outer >= BULK_TOTAL:
        side = 128 // inner if inner < 16 else 8
        blocks = -(-across // side) * -(-turned // side)
        calls = total // (inner * across * turned)
        sides = ((turned, across), (across, turned))  # rows of the output, and of the input
        whole = [calls * count * -(-length * inner // VECTOR) for count, length in sides]
        uneven = [length * inner % VECTOR != 0 for _, length in sides]
        ragged = sum(n for n, odd in zip(whole, uneven, strict=True) if odd)
        return Strategy("bulk", calls, total // inner, inner, calls * blocks, sum(whole), ragged)
    unit = next(size for size in reversed(SCALARS) if inner % size == 0)
    if inner >= 32 or inner >= 8 * unit or (inner > unit and len(rows) == 5):
        across, down = (down, across) if down > 2 * across else (across, down)
        pieces = -(-inner // VECTOR) + (inner % VECTOR != 0)
        return Strategy(
            "rows", total // (inner * across), total // inner, inner, 0, total // inner * pieces
        )
    factor = 2 if inner > unit else 4
    swap = down > 2 * across if factor == 2 else down >= 4 * across
    across, down = (down, across) if swap else (across, down)
    pairs = total // (unit * across * down) * -(-down // 2)
    return Strategy("scalar", pairs, total // unit, unit)


def _merged(shape: Sequence[int], perm: Sequence[int], elsize: int) -> list[_Row]:
    """The axes in the order of the output, innermost first, contiguous ones merged."""
    kept = len(shape) - len(perm)
    order = [*range(kept), *(kept + axis for axis in perm)]
    steps = [elsize * prod(shape[axis + 1 :]) for axis in range(len(shape))]
    rows = [_Row(elsize, 1, 1)]
    for axis in reversed(order):
        if shape[axis] == 1:
            continue
        last = rows[-1]
        if steps[axis] == last.count * last.in_step:
            last.count *= shape[axis]
        else:
            rows.append(_Row(shape[axis], last.count * last.out_step, steps[axis]))
    return rows


def _without_outer(rows: list[_Row]) -> tuple[list[_Row], int]:
    """The rows without a common outermost one, and its count."""
    if len(rows) >= 2 and rows[-1].in_step == rows[-1].out_step:
        return rows[:-1], rows[-1].count
    return rows, 1


def _is_tile(inner: int, across: int, down: int) -> bool:
    """The special cases with separate vector code."""
    if inner == 6:
        return across == 2 and down >= 4
    if not _power_of_two(inner) or inner > 64:
        return False
    return (
        (inner == 16 and (across | down) % 8 == 0)
        or (down == 6 and across * inner % 64 == 0)
        or (across == 4 and down * inner <= 128)
        or (down == 2 and across * inner >= 128)
    )


def _power_of_two(number: int) -> bool:
    return number & (number - 1) == 0
