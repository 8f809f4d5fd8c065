"""Multiply-accumulates of an executed node, those of padding left out."""

from __future__ import annotations

from math import prod

from hexconv.cost.facts import Facts

PRODUCTS = ("MatMul", "SuperFC")
CONVOLUTIONS = ("upernode", "Conv2d")


def macs_of(facts: Facts) -> int:
    """Multiply-accumulates; 0 for ops without dot products."""
    if len(facts.inputs) < 2:
        return 0
    if any(name in facts.op for name in PRODUCTS):
        return prod(facts.first) * facts.inputs[1][3]
    if not any(name in facts.op for name in CONVOLUTIONS):
        return 0
    kh, kw, depth, _ = weights = facts.inputs[1]
    if "TransposeConv" in facts.op:
        return prod(facts.first) * prod(weights) // facts.first[3]
    return prod(facts.out) * kh * kw * (1 if facts.op.startswith("Depthwise") else depth)
