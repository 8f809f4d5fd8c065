"""Convolutions of width 1 between transposes are Linears."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import ModelProto, helper

from tests.lowering.proof import model, numbers
from tests.optimize.proof import applied, converted, errors, ops, rewritten

NAME = "pointwise_as_product"
FEEDS = {"x": numbers((1, 10, 16))}
CONSTS = {"w": 0.3 * numbers((24, 16, 1), 2), "b": numbers((24,), 3), "g": 1 + numbers((16,), 4)}
CONSTS |= {"wide": 0.3 * numbers((24, 16, 3), 5), "beta": numbers((16,), 6)}


def net(
    *, bias: bool = True, back: bool = True, norm: bool = False, weights: str = "w", **attrs: Any
) -> ModelProto:
    nodes = [helper.make_node("LayerNormalization", ["x", "g", "beta"], ["n"], axis=-1)]
    nodes = nodes if norm else []
    nodes.append(helper.make_node("Transpose", ["n" if norm else "x"], ["t"], perm=[0, 2, 1]))
    operands = ["t", weights, *(["b"] if bias else [])]
    nodes.append(helper.make_node("Conv", operands, ["c" if back else "y"], **attrs))
    if back:
        nodes.append(helper.make_node("Transpose", ["c"], ["y"], perm=[0, 2, 1]))
    return model(nodes, {"x": (1, 10, 16)}, ["y"], CONSTS)


@pytest.mark.parametrize("bias", [True, False])
def test_between_two_transposes_none_is_left(bias: bool) -> None:
    graph, count = rewritten(net(bias=bias), NAME, FEEDS)
    assert count == 1
    assert [node.op_type for node in graph.nodes] == (["MatMul", "Add"] if bias else ["MatMul"])


def test_after_one_transpose_it_moves_after() -> None:
    graph, count = rewritten(net(back=False), NAME, FEEDS)
    assert count == 1
    assert [node.op_type for node in graph.nodes] == ["MatMul", "Add", "Transpose"]


@pytest.mark.parametrize(
    "options", [{"weights": "wide"}, {"strides": [2]}, {"pads": [1, 1]}], ids=str
)
def test_other_convolutions_stay(options: dict[str, Any]) -> None:
    assert rewritten(net(**options), NAME, FEEDS)[1] == 0


def test_a_norm_in_front_gives_its_gamma_and_beta_away() -> None:
    proto = net(norm=True)
    on, off = converted(proto, FEEDS), converted(proto, FEEDS, without=(NAME,))
    assert applied(on)["norm_affine_into_linear"] == 1
    assert sum(ops(on).values()) < sum(ops(off).values())
    assert max(errors(on, proto, FEEDS)) <= 4.0
