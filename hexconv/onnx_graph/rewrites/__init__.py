"""Rewrites of the float graph, one rule a file: simplify, fold, recognise what exporters split."""

from __future__ import annotations

from collections import Counter

from hexconv.onnx_graph.build import Builder
from hexconv.onnx_graph.rewrites import (  # noqa: F401  (importing registers the rules)
    batch_norm,
    channel_affine,
    dynamic,
    gelu,
    hard,
    layer_norm,
    log_sum_exp,
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
from hexconv.onnx_graph.rewrites.registry import REWRITES

ROUNDS = 50


def rewrite(builder: Builder, *, recognise: bool) -> dict[str, int]:
    """Apply the rules until none applies.

    Returns:
        How often each was applied, by name.
    """
    counts: Counter[str] = Counter()
    for _ in range(ROUNDS):
        before = counts.total()
        for node in list(builder.graph):
            if node.graph is None or node.domain:
                continue
            builder.at(node)
            for rule in REWRITES.get(node.op_type, ()):
                if (recognise or not rule.recognition) and rule.function(node, builder):
                    counts[rule.name] += 1
                    break
        if counts.total() == before:
            break
    return dict(sorted(counts.items()))
