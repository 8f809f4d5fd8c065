"""ONNX ops without an equivalent in the library, decomposed into ops that it has (float graph).

This runs before calibration: every new tensor is observed like any other. Each rule is exact in
real numbers. One file per rule; a rule returns the replacements of the node's outputs.
"""

from __future__ import annotations

from hexconv.decompose import (  # noqa: F401  (importing registers the rules)
    average_pool,
    center_crop_pad,
    col2im,
    cumsum,
    divide,
    einsum,
    elementwise,
    gather,
    gemm,
    grid_sample,
    instance_norm,
    layer_norm,
    log_softmax,
    lp_norm,
    lp_pool,
    lrn,
    not_decomposed,
    pad,
    recurrent,
    reductions,
    resize,
    scatter,
    swish,
    top_k,
    trilu,
    wide_kernel,
)
from hexconv.onnx_graph.rules import decompose

__all__ = ["decompose"]
