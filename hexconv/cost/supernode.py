"""How v66 divides a convolution in d32 among its threads (nnlib src/op_supernode_new.c,
supernode_recalculate_strategy_v66).

The rows are divided among up to four threads. A work item computes its rows for all slices of 32
output channels, unless the weights do not fit into VTCM, or the last thread has far fewer rows
than the others: then it computes one slice, and each slice is dispatched by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from hexconv.cost.facts import Facts
from hexconv.nnlib.convolution_code import VTCM_BYTES, weight_slice_bytes
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.layout import Shape4

THREADS = 4
D32 = 32
LEAST_LOAD = 0.67
"""Rows of the last thread over those of the others, below which slices are dispatched singly."""
LINE_BYTES = 28 << 10
CACHE = 768 << 10
FIRST_ROWS = 2
"""Rows that the first call of a work item computes."""


@dataclass(frozen=True)
class Division:
    """A convolution's work on v66.

    Attributes:
        items: work items.
        calls: of the inner routine, each for some rows.
        slices: calls times the slices of 32 output channels of each.
        copied: bytes of weights that are copied into VTCM while threads compute.
        vectors: vectors of 4 columns by 32 channels that are computed, some of them padding.
    """

    items: int
    calls: int
    slices: int
    copied: int
    vectors: int


def division(facts: Facts) -> Division:
    """How a convolution of one batch or more is divided."""
    kh, kw, depth, count = facts.inputs[1]
    batches, height, _, _ = facts.out
    slices = -(-count // D32)
    resident = _resident(facts)
    rows = -(-height // THREADS)
    parts = [min(rows, height - start) for start in range(0, height, rows)]
    burst = slices if resident == slices and _even(parts, batches, slices) else 1
    calls = batches * sum(_calls(part, facts) for part in parts)
    return Division(
        items=batches * len(parts) * -(-slices // burst),
        calls=calls * -(-slices // burst),
        slices=calls * slices,
        copied=batches * (slices - resident) * kh * kw * -(-depth // D32) * D32 * D32,
        vectors=batches * height * slices * _column_groups(facts),
    )


def _column_groups(facts: Facts) -> int:
    """Groups of 4 columns that are computed of a row.

    The output starts in its left padding where the kernel reaches to the left, unless stride and
    width allow to start at the first column.
    """
    width, stride = facts.out[2], facts.ints.get("stride", (1, 1, 1, 1))[2]
    groups, ragged = -(-width // 4), width % 4
    before = _columns_before(facts, stride)
    if before == 0 or (stride == 1 and ragged == 0):
        return groups
    junk = (4 - before) // stride
    saved = stride == 1 and width > 4 and 0 < ragged <= (4 - junk) % 4
    return groups + 1 - saved


def _columns_before(facts: Facts, stride: int) -> int:
    """Columns of padding that the kernel reads to the left of the input."""
    width = facts.inputs[1][1]
    if facts.padding is Padding.SAME:
        return max(0, (facts.out[2] - 1) * stride + width - facts.first[2]) // 2
    return 0 if facts.padding is Padding.VALID else (width - 1) // 2


def _resident(facts: Facts) -> int:
    """Slices of the weights that VTCM holds."""
    count = facts.inputs[1][3]
    return max(1, min(-(-count // D32), VTCM_BYTES // weight_slice_bytes(facts.inputs[1])))


def _even(parts: list[int], batches: int, slices: int) -> bool:
    return batches > 1 or slices <= 2 or parts[-1] / parts[0] >= LEAST_LOAD


def _calls(rows: int, facts: Facts) -> int:
    """Calls of the inner routine for the rows of a thread: 2, then as many as the cache holds."""
    return 1 + -(-max(0, rows - FIRST_ROWS) // _rows_a_call(facts))


def _rows_a_call(facts: Facts) -> int:
    kh, _, _, _ = facts.inputs[1]
    stride = facts.ints.get("stride", (1, 1, 1, 1))[1]
    line = _line_bytes(facts.first)
    results = D32 * facts.out[2] * _resident(facts)
    spare = CACHE - THREADS * (results + max(kh, stride) * line)
    cached = -(-(spare + THREADS * line * stride * 2) // (2 * THREADS * line * stride))
    divided = ((stride * facts.out[1] + 1) // 4 - kh + stride + 1) // (4 * stride)
    return max(1, min(divided, cached, -(-LINE_BYTES // (line * stride))))


def _line_bytes(shape: Shape4) -> int:
    """Bytes of a row of the input, its width padded by 4 on the left and up to a multiple of 4."""
    _, _, width, depth = shape
    return D32 * -(-depth // D32) * (4 + -(-width // 4) * 4)
