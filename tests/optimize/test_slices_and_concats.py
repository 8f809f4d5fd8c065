"""Joining what was cut, and cutting what was joined, moves nothing."""

from __future__ import annotations

import numpy as np
from onnx import helper

from tests.lowering.proof import model, numbers
from tests.optimize.proof import rewritten

NAME = "slices_and_concats"
FEEDS = {"x": numbers((1, 6, 8))}


def test_all_parts_of_a_split_joined_again_are_the_tensor() -> None:
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=1),
        helper.make_node("Concat", ["a", "b"], ["c"], axis=1),
        helper.make_node("Tanh", ["c"], ["y"]),
    ]
    proto = model(nodes, {"x": (1, 6, 8)}, ["y"], {})
    graph, count = rewritten(proto, NAME, FEEDS)
    assert count == 1 and [node.op_type for node in graph.nodes] == ["Tanh"]


def test_parts_joined_in_another_order_stay() -> None:
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=1),
        helper.make_node("Concat", ["b", "a"], ["y"], axis=1),
    ]
    assert rewritten(model(nodes, {"x": (1, 6, 8)}, ["y"], {}), NAME, FEEDS)[1] == 0


def test_a_slice_of_a_concat_s_operand_is_the_operand() -> None:
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Concat", ["x", "t"], ["c"], axis=1),
        helper.make_node("Slice", ["c", "begin", "end", "axis"], ["s"]),
        helper.make_node("Sigmoid", ["s"], ["y"]),
    ]
    consts = {
        "begin": np.array([6]),
        "end": np.array([12]),
        "axis": np.array([1]),
    }
    graph, count = rewritten(model(nodes, {"x": (1, 6, 8)}, ["y"], consts), NAME, FEEDS)
    assert count == 1 and sorted(n.op_type for n in graph.nodes) == ["Sigmoid", "Tanh"]
