"""A result whose bounds meet in one number is a constant, whatever the data are."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto

from tests.onnx_graph.models import model, node, same_outputs

CONSTS = {
    "low": -0.5,
    "zero": 0.0,
    "one": 1.0,
    "two": 2.0,
    "zeros": np.zeros((4, 1)),
    "some": [[0.0], [1.0], [0.0], [2.0]],
    "w": np.ones((2, 4, 1)),
}
CLIP = node("Clip", "x low zero", "c")
RELU = node("Relu", "x", "r")
MEETS: dict[str, list[NodeProto]] = {
    "Relu of at most 0": [CLIP, node("Relu", "c", "y")],
    "Max of at most 0": [CLIP, node("Max", "c zero", "y")],
    "Min of at least 0": [RELU, node("Min", "r zero", "y")],
    "Clip of at least 0": [RELU, node("Clip", "r low zero", "y")],
    "Clip to one number": [node("Clip", "x two two", "y")],
    "Clip above all values": [CLIP, node("Clip", "c one two", "y")],
    "Clip of a Sigmoid": [node("Sigmoid", "x", "s"), node("Clip", "s one two", "y")],
    "Relu of the negative": [RELU, node("Neg", "r", "n"), node("Relu", "n", "y")],
    "zero times": [node("Mul", "zero x", "y")],
    "zeros times": [node("Mul", "x zeros", "y")],
    "threshold not reached": [
        node("Clip", "x low one", "c"),
        node("ThresholdedRelu", "c", "y", alpha=1.0),
    ],
    "LeakyRelu of zero": [node("Clip", "x zero zero", "c"), node("LeakyRelu", "c", "y")],
    "behind what moves": [
        CLIP,
        node("Concat", "c c", "j", axis=1),
        node("MaxPool", "j", "p", kernel_shape=[3]),
        node("Relu", "p", "y"),
    ],
    "behind products and sums": [
        CLIP,
        node("Mul", "c two", "m"),
        node("Add", "m low", "a"),
        node("Relu", "a", "y"),
    ],
    "with what reads it": [
        CLIP,
        node("Relu", "c", "r"),
        node("Exp", "r", "e"),
        node("Conv", "e w", "y"),
    ],
}
STAYS: dict[str, list[NodeProto]] = {
    "Relu of more than 0": [node("Clip", "x low one", "c"), node("Relu", "c", "y")],
    "some zeros times": [node("Mul", "x some", "y")],
    "threshold within": [
        node("Clip", "x low two", "c"),
        node("ThresholdedRelu", "c", "y", alpha=1.0),
    ],
    "LeakyRelu of at most 0": [CLIP, node("LeakyRelu", "c", "y")],
    "negative slope": [CLIP, node("LeakyRelu", "c", "l", alpha=-1.0), node("Relu", "l", "y")],
    "squares": [node("Mul", "x x", "m"), node("Relu", "m", "y")],
}


def used(nodes: list[NodeProto]) -> dict[str, object]:
    """The constants that nodes read."""
    read = {name for item in nodes for name in item.input}
    return {name: value for name, value in CONSTS.items() if name in read}


@pytest.mark.parametrize("name", MEETS)
def test_bounds_that_meet_leave_nothing_to_compute(name: str) -> None:
    proto = model(MEETS[name], {"x": (2, 4, 6)}, consts=used(MEETS[name]))
    assert {item.op_type for item in same_outputs(proto).nodes} <= {"Identity"}


@pytest.mark.parametrize("name", STAYS)
def test_bounds_that_are_apart_stay(name: str) -> None:
    proto = model(STAYS[name], {"x": (2, 4, 6)}, consts=used(STAYS[name]))
    assert same_outputs(proto).nodes[-1].op_type == STAYS[name][-1].op_type


def test_a_known_value_beside_data_is_a_constant_operand() -> None:
    nodes = [CLIP, node("Relu", "c", "r"), node("Exp", "r", "e"), node("Mul", "e x", "y")]
    graph = same_outputs(model(nodes, {"x": (2, 4, 6)}, consts=used(nodes)))
    assert [item.op_type for item in graph.nodes] == ["Mul"]
