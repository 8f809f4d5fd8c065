"""Ops that ONNX defines by others are those others."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import matches, model, numbers


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("heads", [2, 4])
def test_attention_is_its_function_body(causal: int, heads: int) -> None:
    feeds = {
        "q": numbers((1, 4, 6, 8)),
        "k": numbers((1, heads, 6, 8), 2),
        "v": numbers((1, heads, 6, 8), 3),
    }
    nodes = [helper.make_node("Attention", list(feeds), ["y"], name="node", is_causal=causal)]
    proto = model(nodes, {name: a.shape for name, a in feeds.items()}, ["y"], opset=23)
    graph = load(proto)
    assert "Attention" not in {node.op_type for node in graph.nodes}
    k, v = (np.repeat(feeds[name], 4 // heads, 1) for name in ("k", "v"))
    scores = feeds["q"] @ k.transpose(0, 1, 3, 2) / np.sqrt(np.float32(8))
    if causal:
        scores = np.where(np.tri(6, dtype=bool), scores, np.float32(-1e4))
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ v
    np.testing.assert_allclose(FloatSession(graph).run(feeds)["y"], expected, atol=1e-5)
    matches(proto, 12.0, feeds, [expected.astype(np.float32)])


def test_attributes_not_given_have_their_defaults() -> None:
    nodes = [helper.make_node("MeanVarianceNormalization", ["x"], ["y"], name="node")]
    x = numbers((2, 3, 4, 4))
    graph = load(model(nodes, {"x": x.shape}, ["y"], opset=13))
    mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    output = FloatSession(graph).run({"x": x})["y"]
    np.testing.assert_allclose(output, (x - mean) / np.sqrt(variance), rtol=1e-4, atol=1e-4)
