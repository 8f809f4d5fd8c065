"""Common subexpressions are computed once."""

from __future__ import annotations

from onnx import helper

from tests.lowering.proof import model, numbers
from tests.optimize.proof import rewritten


def test_equal_nodes_on_one_value_become_one() -> None:
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["a"], alpha=0.1),
        helper.make_node("LeakyRelu", ["x"], ["b"], alpha=0.1),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    graph, count = rewritten(
        model(nodes, {"x": (1, 4, 8)}, ["y"]), "shared_expressions", {"x": numbers((1, 4, 8))}
    )
    assert count == 1 and sum(node.op_type == "LeakyRelu" for node in graph.nodes) == 1


def test_nodes_with_other_attributes_stay() -> None:
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["a"], alpha=0.1),
        helper.make_node("LeakyRelu", ["x"], ["b"], alpha=0.2),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    _, count = rewritten(
        model(nodes, {"x": (1, 4, 8)}, ["y"]), "shared_expressions", {"x": numbers((1, 4, 8))}
    )
    assert count == 0
