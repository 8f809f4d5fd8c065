"""How v65 computes a convolution in d32 (nnlib src/op_supernode_new.c, slice_for_cache and
supernode_execute_hvx_conv_work).

As many slices of 32 output channels as VTCM holds are computed at a time; the rows are divided
among up to four threads. A work item copies the rows that its kernel covers, each twice, into a
circular buffer, computes one output row for pairs of slices (a slice that is left over singly), and
copies the next rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from hexconv.cost.facts import Facts
from hexconv.cost.supernode import D32, THREADS
from hexconv.nnlib.convolution_code import VTCM_BYTES, weight_slice_bytes

COLUMNS, FEW_COLUMNS = 8, 6
"""Columns that the inner loop computes at a time."""
BY_SIX = ((11, 18), (35, 36))
"""Widths that may be computed by 6 columns, where that leaves at most one over."""


@dataclass(frozen=True)
class RingDivision:
    """A convolution's work on v65.

    Attributes:
        items: work items.
        lines: rows of the input that are copied into circular buffers.
        groups: groups of columns in a row.
        columns: columns of a group.
        pairs: pairs of slices, over the output rows.
        singles: slices without a partner, over the output rows.
    """

    items: int
    lines: int
    groups: int
    columns: int
    pairs: int
    singles: int


def ring_division(facts: Facts) -> RingDivision:
    """How a convolution is divided."""
    kh, _, _, count = facts.inputs[1]
    batches, height, width, _ = facts.out
    stride = facts.ints.get("stride", (1, 1, 1, 1))[1]
    slices = -(-count // D32)
    held = _slices_at_a_time(slices, weight_slice_bytes(facts.inputs[1]))
    parts = [min(held, slices - start) for start in range(0, slices, held)]
    rows = -(-height // THREADS)
    items = -(-height // rows)
    columns = _columns(-(-width // 4) * 4)
    return RingDivision(
        items=batches * items * len(parts),
        lines=batches * len(parts) * (items * kh + (height - items) * min(kh, stride)),
        groups=-(-width // columns),
        columns=columns,
        pairs=batches * height * sum(part // 2 for part in parts),
        singles=batches * height * sum(part % 2 for part in parts),
    )


def _slices_at_a_time(slices: int, bytes_a_slice: int) -> int:
    """All slices if VTCM holds them; an even number where that needs no further pass."""
    held = max(1, min(slices, VTCM_BYTES // bytes_a_slice))
    if held == slices:
        return held
    even = max(1, held & ~1)
    return even if -(-slices // even) == -(-slices // held) else held


def _columns(width: int) -> int:
    """Columns of a group, for a width that is a multiple of 4."""
    over = -width % FEW_COLUMNS
    by_six = over <= 1 and any(low <= width <= high for low, high in BY_SIX)
    return FEW_COLUMNS if by_six else COLUMNS
