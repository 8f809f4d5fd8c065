"""Constraints of the library: what it crashes on, fails at run time, or computes incorrectly.

Each rule is named in op_tables/nnlib, which also says why and where it was measured. A rule
returns whether a node violates it; ranges and values known only at run time are not checked.
"""

from hexconv.nnlib.constraints.ranges import WIDEST_SOFTMAX
from hexconv.nnlib.constraints.registry import CONSTRAINTS, RANGE_CONSTRAINTS
from hexconv.nnlib.constraints.structure import (
    DEEPEST_CONVOLUTION,
    KEPT_COLUMNS,
    MOST_PRODUCTS,
    WIDEST_BATCH_NORM,
    WIDEST_KERNEL,
    mislays_batches,
    misrepeats,
)

__all__ = [
    "CONSTRAINTS",
    "DEEPEST_CONVOLUTION",
    "KEPT_COLUMNS",
    "MOST_PRODUCTS",
    "RANGE_CONSTRAINTS",
    "WIDEST_BATCH_NORM",
    "WIDEST_KERNEL",
    "WIDEST_SOFTMAX",
    "mislays_batches",
    "misrepeats",
]
