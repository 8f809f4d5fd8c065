"""Rewrites of the nnlib graph: the same values, computed in a cheaper form."""

from hexconv.optimize.on_nnlib import (  # noqa: F401, I001  (they register; the order matters)
    floor_at_input,
    dilated_by_phases,
    transposed_without_pad,
    sums_by_rows,
    requantize_once,
    requantize_in_concat,
    mean_as_conv,
    pad_matmul,
    block_moves,
    rows_by_gather,
    rows_into_width,
)
