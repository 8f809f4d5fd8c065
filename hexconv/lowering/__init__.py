"""From the float graph to the nnlib graph: one lowering per ONNX op, one family a module."""

from hexconv.lowering import (  # noqa: F401  (importing registers the lowerings)
    activation,
    arg,
    blocks,
    channel_sum,
    conv,
    elementwise,
    mask,
    matmul,
    norm,
    pad,
    pool,
    reduce,
    resize,
    select,
    shape,
    unary,
)
from hexconv.lowering.lower import Lowered, dry_run, lower
from hexconv.lowering.registry import LOWERINGS, Tie

__all__ = ["LOWERINGS", "Lowered", "Tie", "dry_run", "lower"]
