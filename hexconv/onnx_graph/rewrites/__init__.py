"""Rewrites of the float graph, one rule per file: simplify, fold, recognize exporters' patterns."""

from hexconv.onnx_graph.rewrites import (  # noqa: F401  (importing registers the rules)
    batch_norm,
    batch_norm_of_product,
    channel_affine,
    dynamic,
    gelu,
    hard,
    known_values,
    layer_norm,
    log_sum_exp,
    masked_softmax,
    neutral,
    norm_affine,
    pad,
    reshape,
    rms_norm,
    sigmoid,
    softmax,
    softplus,
    swish,
    transpose,
)
