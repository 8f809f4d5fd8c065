"""Which kernels the library's depthwise code takes, and which channel scales it applies.

A kernel works on 32 channels at a time and reads the multipliers of each 32 through a pointer
that it keeps in memory. Those 7 wide at stride 1 and 5 wide at stride 2 store the pointer in the
packet that advances it, so before it is advanced: all channels get the multipliers of the first 32
(nnlib asm_src/dwconv2dbbb_s1_7xN_h.S and dwconv2dbbb_s2_5xN_h.S, .L_depth; the same in the shipped
v60, v65 and v66). Kernels 7 wide with more than 9 rows end the library with a fault of memory.
"""

from __future__ import annotations

from hexconv.arrays import Array

SLICE = 32
"""Channels that a kernel works on at a time."""
REPEATING = {(7, 1), (5, 2)}
"""Columns of the kernel and stride over W of the code that repeats the first scales."""


MOST_ROWS = 9
"""Of a kernel 7 wide; narrower ones have run with 31."""


def too_tall(rows: int, columns: int) -> bool:
    """Whether a kernel crashes the library."""
    return columns == 7 and rows > MOST_ROWS


def scale_period(columns: int, column_stride: int) -> int | None:
    """The channels after which a kernel's scales repeat; None where each channel has its own."""
    return SLICE if (columns, column_stride) in REPEATING else None


def ignores(scales: Array, columns: int, column_stride: int) -> bool:
    """Whether the code would compute some channel with another's scale.

    Args:
        scales: one for each channel, or a single one.
        columns: of the kernel.
        column_stride: stride over W.
    """
    period, flat = scale_period(columns, column_stride), scales.reshape(-1)
    return period is not None and bool((flat[period:] != flat[:-period]).any())
