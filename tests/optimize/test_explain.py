"""`explain`: what each rewrite saved, as the cost model predicts it."""

from __future__ import annotations

from onnx import helper

import hexconv
from tests.lowering.proof import model, numbers


def test_every_rewrite_that_applied_is_priced() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["y"]),
    ]
    consts = {"w": numbers((64, 64), 2), "b": numbers((64,), 3)}
    proto = model(nodes, {"x": (1, 32, 64)}, ["y"], consts)
    converted = hexconv.convert(proto, samples=[{"x": numbers((1, 32, 64))}], explain=True)
    assert converted.conversion is not None
    saved = converted.conversion.saved
    assert set(saved) == {"linear", "activation_into_range"}
    assert saved["linear"] > 1000.0
