"""How a tensor gets from one layout to another with the fewest Reshape and Transpose nodes.

Axes of size 1 take no memory, so only the order of the others counts. Axes that stay
neighbors move as one block; up to four blocks move in a single Transpose_8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from math import prod

from hexconv.nnlib.layout import Layout, Shape4

Perm = tuple[int, int, int, int]


@dataclass(frozen=True)
class Move:
    """One node: a reshape to `shape`, or a transpose by `perm` that gives `shape`."""

    shape: Shape4
    perm: Perm | None = None


def moves(
    shape: Sequence[int], source: Layout, target: Layout, start: Shape4 | None = None
) -> list[Move]:
    """The nodes that bring a tensor from `source` to `target`.

    Args:
        shape: the ONNX shape, the same for both layouts.
        source: its layout.
        target: the layout to reach.
        start: its 4-D shape now, where a reshape to `source` has not been done yet.
    """
    end = target.shape(shape)
    start = start or source.shape(shape)
    have = [axis for axis in source.order if shape[axis] != 1]
    want = [axis for axis in target.order if shape[axis] != 1]
    if have == want:
        return [] if start == end else [Move(end)]
    if start == source.shape(shape):
        direct = _direct(shape, source, target, want)
        if direct is not None:
            return [Move(end, direct)]
    return _through_blocks(shape, have, want, start, end, target)


def _direct(shape: Sequence[int], source: Layout, target: Layout, want: list[int]) -> Perm | None:
    """One Transpose of B, H, W, D as they are, if that is enough."""
    slots = [[axis for axis in group if shape[axis] != 1] for group in source.axes]
    sizes, end = source.shape(shape), target.shape(shape)
    for perm in permutations(range(4)):
        if [axis for slot in perm for axis in slots[slot]] == want and all(
            sizes[slot] == size for slot, size in zip(perm, end, strict=True)
        ):
            return perm[0], perm[1], perm[2], perm[3]
    return None


def _through_blocks(
    shape: Sequence[int],
    have: list[int],
    want: list[int],
    start: Shape4,
    end: Shape4,
    target: Layout,
) -> list[Move]:
    steps: list[Move] = []
    current = start
    while have != want:
        blocks = _blocks(have, want)
        if len(blocks) <= 4:
            sequence = _last_transpose(shape, blocks, want, target)
            have = want
        else:
            sequence, have = _swap(shape, blocks, want)
        for move in sequence:
            if move.perm is not None or move.shape != current:
                steps.append(move)
            current = move.shape
    if current != end:
        steps.append(Move(end))
    return steps


def _blocks(have: list[int], want: list[int]) -> list[list[int]]:
    """Runs of axes that are neighbors in both orders."""
    follower = dict(pairwise(want))
    blocks: list[list[int]] = []
    for axis in have:
        if blocks and follower.get(blocks[-1][-1]) == axis:
            blocks[-1].append(axis)
        else:
            blocks.append([axis])
    return blocks


def _last_transpose(
    shape: Sequence[int], blocks: list[list[int]], want: list[int], target: Layout
) -> list[Move]:
    """Reshape to the blocks, then one Transpose that moves them to their target axes."""
    ones = 4 - len(blocks)
    sizes = [1] * ones + [prod(shape[a] for a in block) for block in blocks]
    home = {block[0]: ones + index for index, block in enumerate(blocks)}
    groups = [[a for a in group if shape[a] != 1] for group in target.axes]
    starts = [group[0] if group else None for group in groups]
    if all(s is None or s in home for s in starts) and len(blocks) == sum(
        s is not None for s in starts
    ):
        # Each of the target's B, H, W, D is one block (or empty): no reshape afterwards.
        exclude = iter(range(ones))
        perm = [next(exclude) if s is None else home[s] for s in starts]
    else:
        in_order = [home[a] for a in want if a in home]
        perm = [*range(ones), *in_order]
    moved = tuple(sizes[p] for p in perm)
    return [
        Move((sizes[0], sizes[1], sizes[2], sizes[3])),
        Move((moved[0], moved[1], moved[2], moved[3]), (perm[0], perm[1], perm[2], perm[3])),
    ]


def _swap(
    shape: Sequence[int], blocks: list[list[int]], want: list[int]
) -> tuple[list[Move], list[int]]:
    """Move the first misplaced block before the others: one 4-D Transpose."""
    done = 0
    position = 0
    while blocks[done] == want[position : position + len(blocks[done])]:
        position += len(blocks[done])
        done += 1
    late = next(i for i, block in enumerate(blocks) if block[0] == want[position])
    parts = [blocks[:done], blocks[done:late], [blocks[late]], blocks[late + 1 :]]
    sizes = [prod(shape[a] for block in part for a in block) for part in parts]
    order = [a for part in (0, 2, 1, 3) for block in parts[part] for a in block]
    return [
        Move((sizes[0], sizes[1], sizes[2], sizes[3])),
        Move((sizes[0], sizes[2], sizes[1], sizes[3]), (0, 2, 1, 3)),
    ], order


def split_reshape(
    before: Sequence[int], after: Sequence[int], order: Sequence[int]
) -> list[int] | None:
    """The order in memory of an ONNX Reshape's result if no data moves; None if it must move.

    Each run of axes of `before` whose sizes multiply to a run of `after` is one factor of the
    reshape. No data moves if the axes of every factor are neighbors, in order, in memory.

    Args:
        before: the ONNX shape reshaped from.
        after: the ONNX shape reshaped to.
        order: the axes of `before` in memory order, outermost first.
    """
    result: list[int] = []
    factor_of = {axis: factor for factor in _factors(before, after) for axis in factor[0]}
    have = [axis for axis in order if before[axis] != 1]
    position = 0
    while position < len(have):
        old, new = factor_of[have[position]]
        if have[position : position + len(old)] != old:
            return None
        result += new
        position += len(old)
    return result


def factored_order(before: Sequence[int], after: Sequence[int], order: Sequence[int]) -> list[int]:
    """An order in which a Reshape moves no data, close to the present order of axes.

    Factors are ordered by their first axes: a pixel shuffle of an image that is
    channels last returns one that is channels last too.
    """
    factor_of = {axis: factor for factor in _factors(before, after) for axis in factor[0]}
    wanted: list[int] = []
    for axis in order:
        if before[axis] != 1 and axis not in wanted:
            wanted += factor_of[axis][0]
    return wanted


def fit(shape: Sequence[int], order: Sequence[int], sizes: Shape4) -> Layout | None:
    """The layout of a tensor of 4-D `sizes` whose axes are in `order`.

    None where an axis would extend over two of B, H, W and D.
    """
    groups: list[list[int]] = [[], [], [], []]
    queue = [axis for axis in order if shape[axis] != 1]
    for group, size in zip(groups, sizes, strict=True):
        product = 1
        while product < size and queue:
            group.append(queue.pop(0))
            product *= shape[group[-1]]
        if product != size:
            return None
    placed = {axis for group in groups for axis in group}
    groups[0] = [a for a in range(len(shape)) if a not in placed] + groups[0]
    return Layout((tuple(groups[0]), tuple(groups[1]), tuple(groups[2]), tuple(groups[3])))


def gather_axes(shape: Sequence[int], order: Sequence[int]) -> Layout:
    """A layout with the axes of `order` (all whose size is not 1) in that order.

    Up to four get a BHWD axis of their own, from D leftwards; more share B.
    """
    placed = list(order)
    if len(placed) > 4:
        cut = len(placed) - 3
        groups = [tuple(placed[:cut]), *((a,) for a in placed[cut:])]
    else:
        groups = [()] * (4 - len(placed)) + [(a,) for a in placed]
    ones = tuple(axis for axis in range(len(shape)) if axis not in placed)
    return Layout((ones + groups[0], groups[1], groups[2], groups[3]))


def _factors(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Runs of axes with equal products, axes of size 1 left out."""
    old = [axis for axis, size in enumerate(before) if size != 1]
    new = [axis for axis, size in enumerate(after) if size != 1]
    factors: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old):
        left, right = [old[i]], [new[j]]
        i, j = i + 1, j + 1
        a, b = before[left[0]], after[right[0]]
        while a != b:
            if a < b:
                left.append(old[i])
                a *= before[old[i]]
                i += 1
            else:
                right.append(new[j])
                b *= after[new[j]]
                j += 1
        factors.append((left, right))
    return factors
