"""Attention that ONNX Runtime's optimizer writes: what it computes, and what is not supported."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import numbers
from tests.onnx_graph.models import feeds_of, model, node, original_outputs

DOMAIN, FRAMES, WIDTH = "com.microsoft", 6, 16


def of(nodes: list[onnx.NodeProto], consts: dict[str, Any], outputs: str = "y") -> onnx.ModelProto:
    proto = model(nodes, {"x": (2, FRAMES, WIDTH)}, outputs.split(), consts)
    proto.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return proto


def attention(
    inputs: str = "x w b", size: int = 3 * WIDTH, bias: float = 1.0, **attrs: Any
) -> onnx.ModelProto:
    consts = {
        "w": numbers((WIDTH, size)) / 4,
        "b": numbers((size,), 2) * np.float32(bias),
        "add": numbers((1, 4, FRAMES, FRAMES), 3),
        "lengths": np.array([3, 4], np.int32),
    }
    used = {name: value for name, value in consts.items() if name in inputs.split()}
    return of([node("Attention", inputs, "y", domain=DOMAIN, num_heads=4, **attrs)], used)


def multi_head(inputs: str = "q k v", frames: int = FRAMES, **attrs: Any) -> onnx.ModelProto:
    consts = {
        "a": numbers((WIDTH, WIDTH)) / 4,
        "k": numbers((2, frames, WIDTH), 2),
        "v": numbers((2, frames, WIDTH), 3),
        "b": numbers((3 * WIDTH,), 4),
        "padding": np.array([3, 4], np.int32),
    }
    nodes = [
        node("MatMul", "x a", "q"),
        node("MultiHeadAttention", inputs, "y", domain=DOMAIN, num_heads=4, **attrs),
    ]
    used = {name: value for name, value in consts.items() if name in ("a", *inputs.split())}
    return of(nodes, used)


CASES = {
    "Attention": attention(),
    "without bias": attention("x w"),
    "later positions masked": attention(unidirectional=1),
    "scale": attention(scale=0.3),
    "addend": attention("x w b _ _ add"),
    "values of another width": attention(size=56, qkv_hidden_sizes=[16, 16, 24]),
    "MultiHeadAttention": multi_head(),
    "bias": multi_head("q k v b"),
    "self, later positions masked": multi_head(unidirectional=1),
    "keys of another length": multi_head(frames=9),
}


REFERENCES = {"without bias": attention(bias=0.0)}
"""What ONNX Runtime runs instead of a case: without a bias it may crash (1.25 to 1.28 did)."""


@pytest.mark.parametrize("name", CASES)
def test_fused_attention_is_what_was_fused(name: str) -> None:
    graph = load(CASES[name])
    feeds = feeds_of(graph)
    (expected,) = original_outputs(REFERENCES.get(name, CASES[name]), feeds)
    np.testing.assert_allclose(FloatSession(graph).run(feeds)["y"], expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(
    ("proto", "told"),
    [
        (attention("x w b lengths"), "mask_index"),
        (attention(do_rotary=1), "rotary"),
        (attention(qkv_hidden_sizes=[16, 16, 24]), "qkv_hidden_sizes"),
        (multi_head("q k v _ padding"), "key_padding_mask"),
        (multi_head("q"), "packed"),
    ],
)
def test_what_is_not_supported_is_named(proto: onnx.ModelProto, told: str) -> None:
    with pytest.raises(UnsupportedOpError, match=told):
        load(proto)
