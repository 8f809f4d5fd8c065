"""Large rows of weights are split over copies of their input channel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx import helper

from hexconv.calibrate.copied_columns import COPIES
from hexconv.calibrate.split_rows import split_rows
from hexconv.onnx_graph import FloatGraph, load
from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import Array, model, numbers

DEPTH = 64


def graph_of(*sizes: float) -> FloatGraph:
    """Two Linears of one tensor, whose first rows are so many times as large as the others."""
    weights = [numbers((DEPTH, 16), seed) for seed in (1, 2)]
    for array in weights:
        array[: len(sizes)] *= np.float32(sizes)[:, None]
    nodes = [helper.make_node("MatMul", ["x", name], [name.upper()]) for name in ("a", "b")]
    consts = dict(zip(("a", "b"), weights, strict=True))
    return load(model(nodes, {"x": (1, 5, DEPTH)}, ["A", "B"], consts))


def split(graph: FloatGraph) -> list[Array]:
    """The weights of both Linears behind the rewrite."""
    nodes: list[ir.Node] = list(graph.nodes)
    split_rows({graph.graph.inputs[0]: nodes}, FloatBuilder(graph.graph))
    remove_dead(graph.graph)
    found = [array_of(item.inputs[1]) for item in nodes]
    return [array for array in found if array is not None]


def test_the_function_stays_and_the_largest_weights_shrink() -> None:
    graph = graph_of(64.0, 8.0)
    before = [np.abs(array_of(item.inputs[1])).max() for item in graph.nodes]
    x = {"x": numbers((1, 5, DEPTH), 9)}
    wanted = FloatSession(graph, ["A", "B"]).run(x)
    for weights, largest in zip(split(graph), before, strict=True):
        assert weights.shape == (DEPTH + COPIES, 16)
        assert np.abs(weights).max() < largest / 12.0
    made = FloatSession(graph, ["A", "B"]).run(x)
    for name in wanted:
        np.testing.assert_allclose(made[name], wanted[name], rtol=1e-4, atol=1e-3)


def test_rows_of_like_sizes_stay() -> None:
    assert all(weights.shape == (DEPTH, 16) for weights in split(graph_of(2.0, 2.0)))
