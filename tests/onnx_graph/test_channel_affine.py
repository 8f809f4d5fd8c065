"""Factors and addends by channel, or for all, go into the convolution beside them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.onnx_graph.models import model, node, ops, same_outputs

CONSTANTS = {
    "w": np.random.default_rng(1).standard_normal((6, 4, 3, 3)),
    "g": np.random.default_rng(2).standard_normal((6, 2, 1, 1)),
    "b": np.random.default_rng(3).standard_normal(6),
    "t": np.random.default_rng(4).standard_normal((4, 3, 2, 2)),
    "column": np.random.default_rng(5).standard_normal((6, 1, 1)),
    "two": np.array(2.0),
    "one": np.array([-0.7]),
    "nine": np.random.default_rng(6).standard_normal((1, 1, 1, 1, 1)),
}


def of_nodes(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    read = {name for item in nodes for name in item.input}
    used = {name: array for name, array in CONSTANTS.items() if name in read}
    return model(list(nodes), {"x": (1, 4, 5, 6)}, consts=used)


CONV = node("Conv", "x w b", "p", pads=[1, 1, 1, 1])
BEHIND = [
    [CONV, node("Mul", "one p", "m"), node("Add", "m two", "y")],
    [node("Conv", "x w", "p"), node("Add", "one p", "y")],
    [CONV, node("Mul", "p two", "m"), node("Add", "m column", "y")],
    [node("ConvTranspose", "x t", "p"), node("Mul", "p two", "m"), node("Add", "one m", "y")],
]


@pytest.mark.parametrize("nodes", BEHIND)
def test_a_number_behind_a_convolution_goes_into_it(nodes: list[onnx.NodeProto]) -> None:
    assert len(ops(same_outputs(of_nodes(*nodes), tolerance=1e-5))) == 1


@pytest.mark.parametrize(
    "behind",
    [
        [node("Conv", "a w b", "y")],
        [node("Conv", "a g", "y", group=2)],
        [node("Conv", "a g b", "y", group=2, strides=[2, 2])],
    ],
)
@pytest.mark.parametrize("activation", ["Relu", "Sigmoid", "HardSwish"])
def test_a_number_in_front_of_one_goes_into_its_bias(
    activation: str, behind: list[onnx.NodeProto]
) -> None:
    nodes = [node(activation, "x", "r"), node("Mul", "one r", "m"), node("Add", "m two", "a")]
    found = ops(same_outputs(of_nodes(*nodes, *behind), tolerance=1e-5))
    assert sorted(found) == sorted([activation, "Mul", "Conv"])


@pytest.mark.parametrize(
    "nodes",
    [
        [
            node("Relu", "x", "r"),
            node("Add", "r two", "a"),
            node("Conv", "a w b", "y", pads=[1] * 4),
        ],
        [node("Exp", "x", "r"), node("Add", "r two", "a"), node("Conv", "a w b", "y")],
        [CONV, node("Add", "p two", "a"), node("Sub", "p a", "y")],
        [CONV, node("Add", "p nine", "y")],
        [
            node("Relu", "x", "r"),
            node("Add", "r two", "a"),
            node("Conv", "a w", "c"),
            node("ReduceMax", "a", "n"),
            node("Mul", "n c", "y"),
        ],
    ],
    ids=["zeros at the ends", "no zero in the range", "read twice", "more axes", "in front, twice"],
)
def test_it_stays_where_it_cannot(nodes: list[onnx.NodeProto]) -> None:
    assert "Add" in ops(same_outputs(of_nodes(*nodes), tolerance=1e-5))
