"""The mean of x + f(x) in front of a layer norm is subtracted from x and f(x)."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from hexconv.calibrate.centered_sums import FEWEST, center_sums
from hexconv.onnx_graph import FloatGraph, load
from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import model, numbers

WIDTH, ROWS = FEWEST, 5
CONSTS = {
    "gamma": 1.0 + 0.3 * numbers((WIDTH,), 2),
    "beta": numbers((WIDTH,), 3),
    "w": 0.3 * numbers((8, WIDTH), 4),
    "b": numbers((WIDTH,), 5),
    "axes": np.array([-1], np.int64),
}
FEEDS = {"x": numbers((1, ROWS, WIDTH)), "h": numbers((1, ROWS, 8), 1)}


def graph_of(
    *, biased: bool = True, affine: bool = True, also: str = "", width: int = WIDTH
) -> FloatGraph:
    """d = s - mean(s) of s = (x * gamma + beta) + (h w + b)."""
    linear, value = ("a" if biased else "p"), ("y" if affine else "x")
    nodes = [
        helper.make_node("Mul", ["x", "gamma"], ["g"]),
        helper.make_node("Add", ["g", "beta"], ["y"]),
        helper.make_node("MatMul", ["h", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["a"]),
        helper.make_node("Add", [value, linear], ["s"]),
        helper.make_node("ReduceMean", ["s", "axes"], ["m"], keepdims=1),
        helper.make_node("Sub", ["s", "m"], ["d"]),
        helper.make_node("Relu", ["d"], ["out"]),
    ]
    outputs = ["out"]
    if also:
        nodes.append(helper.make_node("Relu", [also], ["other"]))
        outputs.append("other")
    shapes = {"x": (1, ROWS, width), "h": (1, ROWS, 8)}
    consts = {name: array[..., :width] for name, array in CONSTS.items()}
    return load(model(nodes, shapes, outputs, consts))


def centered(graph: FloatGraph) -> list[str]:
    """The ops that subtract means, behind the rewrite."""
    differences = [node for node in graph.nodes if node.op_type == "Sub"]
    center_sums(differences, FloatBuilder(graph.graph))
    remove_dead(graph.graph)
    return [node.op_type for node in graph.nodes]


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_the_function_stays_without_a_mean_of_the_sum(biased: bool, affine: bool) -> None:
    graph = graph_of(biased=biased, affine=affine)
    wanted = FloatSession(graph, ["d"]).run(FEEDS)["d"]
    ops = centered(graph)
    assert "ReduceMean" not in ops
    found = FloatSession(graph, ["d"]).run(FEEDS)["d"]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert graph.values()["d"].producer().op_type == "Add"  # type: ignore[union-attr]


def test_the_mean_is_a_product_of_what_gamma_multiplies() -> None:
    """n is there, n * gamma + beta then is a part of the sum alone."""
    graph = graph_of()
    centered(graph)
    readers = [use.node.op_type for use in graph.values()["x"].uses()]
    assert sorted(readers) == ["MatMul", "Mul"]
    assert len(list(graph.values()["y"].uses())) == 1


def test_weights_and_bias_of_the_linear_have_no_mean() -> None:
    graph = graph_of()
    centered(graph)
    product = graph.values()["p"].producer()
    weights = array_of(product.inputs[1]) if product is not None else None
    assert weights is not None and np.abs(weights.mean(axis=1)).max() < 1e-7


@pytest.mark.parametrize("also", ["s", "a", "p", "m"])
def test_what_something_else_reads_stays(also: str) -> None:
    assert "ReduceMean" in centered(graph_of(also=also))


def test_a_narrow_stream_keeps_its_sum() -> None:
    """Beside its products a sum of three tensors takes too many packets."""
    assert "ReduceMean" in centered(graph_of(width=WIDTH - 1))
