"""Two runs row by row: which node of one corresponds to which of the other."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from hexconv.cost.logs import Log
from hexconv.cost.mace_tables import mace_id
from hexconv.cost.prediction import Cost

SMALL = 1 << 16
"""Rows of one side times rows of the other up to which difflib's quadratic search is used."""

WINDOWS = (32, 16)
"""Lengths of the runs of ops, each there once, by which two long logs are cut where they agree."""

DEEPEST = 8
"""How often a log is cut so; the parts are then followed row by row."""

AHEAD = 64
"""How far it is looked for the place where two rows that differ agree again."""

AGREE = 3
"""How many rows in a row then have to be equal."""


@dataclass(frozen=True)
class Pair:
    """A row of either run, and its counterpart in the other; None where there is none."""

    op: str
    name: str
    before: float | None
    after: float | None

    @property
    def change(self) -> float:
        """What it costs more than before."""
        return (self.after or 0.0) - (self.before or 0.0)


Row = tuple[str, str, float]
Match = tuple[int, int]
"""Positions of one row in both runs."""


def pair_logs(before: Log, after: Log) -> list[Pair]:
    """Align the rows of two logs in the order of execution, in n log n."""
    return _pairs(
        [(node.op, node.name, node.value) for node in before.nodes],
        [(node.op, node.name, node.value) for node in after.nodes],
    )


def pair_prediction(cost: Cost, soc: str, log: Log) -> list[Pair]:
    """Align a prediction in milliseconds with a log; `before` is the prediction.

    Rows are matched by MACE's node id where the ops agree, the others by their order. They come in
    the order of the prediction, then those that it does not have.
    """
    said = [
        (node.id, (node.op, node.onnx_node or node.name, cost.node_time(node, soc).milliseconds))
        for node in cost.nodes
    ]
    return pair_by_id(said, [(node.id, (node.op, node.name, node.value)) for node in log.nodes])


def pair_by_id(
    said: Sequence[tuple[int, Row]], measured: Sequence[tuple[int | None, Row]]
) -> list[Pair]:
    """The same of rows with the ids of their nodes: nnlib's in `said`, MACE's in `measured`."""
    rows = dict(measured)
    pairs: dict[int, Pair] = {}
    met = set()
    for position, (node, row) in enumerate(said):
        number = mace_id(node)
        if number in rows and rows[number][0] == row[0] and number not in met:
            met.add(number)
            pairs[position] = _pair(row, rows[number])
    left = [position for position in range(len(said)) if position not in pairs]
    others = [row for number, row in measured if number not in met]
    rest = _matches([said[position][1][0] for position in left], [row[0] for row in others])
    pairs |= {left[i]: _pair(said[left[i]][1], others[j]) for i, j in rest}
    seen = {j for _, j in rest}
    return [
        *(pairs.get(position) or _pair(row, None) for position, (_, row) in enumerate(said)),
        *(_pair(None, row) for position, row in enumerate(others) if position not in seen),
    ]


def node_dicts(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Pairs of a prediction and a log as a report has them."""
    return [{"op": p.op, "name": p.name, "predicted": p.before, "value": p.after} for p in pairs]


def unlike(pairs: Sequence[Pair]) -> str:
    """What to say where a log hardly has the rows of the prediction; empty where it does."""
    rows = sum(pair.after is not None for pair in pairs)
    alone = sum(pair.before is None for pair in pairs)
    if 2 * alone <= rows:
        return ""
    return f"{alone} of its {rows} rows have no counterpart in the model: is it another model's?"


def _pairs(before: Sequence[Row], after: Sequence[Row]) -> list[Pair]:
    """Rows that match, and between them what has no counterpart."""
    matches = _matches([row[0] for row in before], [row[0] for row in after])
    pairs: list[Pair] = []
    i = j = 0
    for left, right in [*matches, (len(before), len(after))]:
        pairs += [_pair(row, None) for row in before[i:left]]
        pairs += [_pair(None, row) for row in after[j:right]]
        if left < len(before):
            pairs.append(_pair(before[left], after[right]))
        i, j = left + 1, right + 1
    return pairs


def _pair(before: Row | None, after: Row | None) -> Pair:
    one = before or after
    assert one is not None
    name = one[1] or (after[1] if after else "")
    return Pair(one[0], name, before and before[2], after and after[2])


def _matches(a: Sequence[str], b: Sequence[str]) -> list[Match]:
    """Positions of equal ops, rising on both sides: as many as are found in n log n."""
    return list(_between(a, b, 0, len(a), 0, len(b), DEEPEST))


def _between(
    a: Sequence[str], b: Sequence[str], a0: int, a1: int, b0: int, b1: int, depth: int
) -> Iterator[Match]:
    """Equal ends first; then what unique runs of ops cut apart, each part by itself."""
    while a0 < a1 and b0 < b1 and a[a0] == b[b0]:
        yield a0, b0
        a0, b0 = a0 + 1, b0 + 1
    tail = 0
    while a0 < a1 - tail and b0 < b1 - tail and a[a1 - tail - 1] == b[b1 - tail - 1]:
        tail += 1
    a2, b2 = a1 - tail, b1 - tail
    if (a2 - a0) * (b2 - b0) <= SMALL:
        yield from _by_difflib(a[a0:a2], b[b0:b2], a0, b0)
    elif depth and (anchors := _anchors(a, b, a0, a2, b0, b2)):
        for i, j in [*anchors, (a2, b2)]:
            yield from _between(a, b, a0, i, b0, j, depth - 1)
            if i < a2:
                yield i, j
            a0, b0 = i + 1, j + 1
    else:
        yield from _in_one_pass(a, b, a0, a2, b0, b2)
    for number in range(tail, 0, -1):
        yield a1 - number, b1 - number


def _by_difflib(a: Sequence[str], b: Sequence[str], a0: int, b0: int) -> Iterator[Match]:
    matcher = SequenceMatcher(a=a, b=b, autojunk=False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            yield a0 + block.a + offset, b0 + block.b + offset


def _anchors(a: Sequence[str], b: Sequence[str], a0: int, a1: int, b0: int, b1: int) -> list[Match]:
    """Where the longest runs that stand once on both sides begin; rising on both sides."""
    for length in WINDOWS:
        ours, theirs = _unique(a, a0, a1, length), _unique(b, b0, b1, length)
        common = sorted((i, theirs[run]) for run, i in ours.items() if run in theirs)
        if common:
            return _rising(common)
    return []


def _unique(ops: Sequence[str], start: int, stop: int, length: int) -> dict[tuple[str, ...], int]:
    """Where each run of ops begins that stands there once."""
    found: dict[tuple[str, ...], int] = {}
    for position in range(start, stop - length + 1):
        run = tuple(ops[position : position + length])
        found[run] = -1 if run in found else position
    return {run: position for run, position in found.items() if position >= 0}


def _rising(pairs: Sequence[Match]) -> list[Match]:
    """The longest selection whose right-hand positions rise too (patience sorting)."""
    tops: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for index, (_, right) in enumerate(pairs):
        pile = bisect_left(tops, right)
        previous.append(ends[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [right]
        ends[pile : pile + 1] = [index]
    chosen = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chosen.append(pairs[index])
        index = previous[index]
    return chosen[::-1]


def _in_one_pass(
    a: Sequence[str], b: Sequence[str], a0: int, a1: int, b0: int, b1: int
) -> Iterator[Match]:
    """Row by row; where they differ, on from the nearest place where they agree again."""
    while a0 < a1 and b0 < b1:
        if a[a0] == b[b0]:
            yield a0, b0
            a0, b0 = a0 + 1, b0 + 1
            continue
        theirs = _next(b, b0, b1)
        best = (AHEAD, AHEAD)
        for i, run in enumerate(_runs(a, a0, a1)):
            if i >= sum(best):
                break
            if run in theirs and i + theirs[run] < sum(best):
                best = (i, theirs[run])
        a0, b0 = a0 + best[0], b0 + best[1]


def _next(ops: Sequence[str], start: int, stop: int) -> dict[tuple[str, ...], int]:
    """How far ahead each run of a few ops begins."""
    found: dict[tuple[str, ...], int] = {}
    for offset, run in enumerate(_runs(ops, start, stop)):
        found.setdefault(run, offset)
    return found


def _runs(ops: Sequence[str], start: int, stop: int) -> Iterator[tuple[str, ...]]:
    near = ops[start : min(stop, start + AHEAD + AGREE)]
    return zip(*(near[offset:] for offset in range(AGREE)), strict=False)
