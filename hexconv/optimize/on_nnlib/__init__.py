"""Rewrites of the nnlib graph: the same values, computed in a cheaper form."""

from hexconv.optimize.on_nnlib import (  # noqa: F401  (importing registers; the order matters)
    dilated_by_phases,
    mean_as_conv,
    pad_matmul,
)
