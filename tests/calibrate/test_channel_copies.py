"""Large channels of streams are given in copies, whose roundings differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from hexconv.calibrate import channel_copies
from hexconv.calibrate.channel_copies import NAME, ScaledStream, copy_channels
from hexconv.calibrate.copied_columns import COPIES, CopiedColumns
from hexconv.onnx_graph import FloatGraph, load
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import model, numbers

WIDTH, ROWS, LARGE = 64, 6, 5
NODES = [
    helper.make_node("MatMul", ["x", "w"], ["p"]),
    helper.make_node("Add", ["p", "b"], ["a"]),
    helper.make_node("Add", ["a", "x"], ["s"]),  # x joins
    helper.make_node("Mul", ["s", "s"], ["q"]),
    helper.make_node("ReduceMean", ["q", "axes"], ["m"], keepdims=1),
    helper.make_node("Mul", ["s", "m"], ["n"]),
    helper.make_node("MatMul", ["n", "v"], ["out"]),
    helper.make_node("Mul", ["n", "gamma"], ["g"]),
    helper.make_node("Relu", ["g"], ["r"]),  # leaves
]
JOINED = [
    helper.make_node("Mul", ["x", "gamma"], ["g"]),
    helper.make_node("MatMul", ["x", "w"], ["p"]),
    helper.make_node("Add", ["g", "p"], ["s"]),
    helper.make_node("Mul", ["s", "s"], ["q"]),
    helper.make_node("ReduceMean", ["q", "axes"], ["m"], keepdims=1),
    helper.make_node("Mul", ["s", "m"], ["n"]),
    helper.make_node("MatMul", ["n", "v"], ["out"]),
]
"""x joins multiplied."""
CONSTS = {
    "w": 0.1 * numbers((WIDTH, WIDTH), 1),
    "b": numbers((WIDTH,), 2),
    "v": 0.1 * numbers((WIDTH, 8), 3),
    "gamma": numbers((WIDTH,), 4),
    "axes": np.array([-1], np.int64),
}
FEEDS = {"x": numbers((1, ROWS, WIDTH), 9)}


def graph_of(**consts: np.ndarray) -> FloatGraph:
    return load(model(NODES, {"x": (1, ROWS, WIDTH)}, ["out", "r"], {**CONSTS, **consts}))


def copied(
    graph: FloatGraph, factor: float, names: Sequence[str] = ("a", "s", "n")
) -> set[ir.Value]:
    """What has copies, of a stream with one channel that was scaled."""
    factors = np.ones(WIDTH)
    factors[LARGE] = factor
    values = [graph.values()[name] for name in names]
    made = copy_channels([ScaledStream(values, factors, 3.0)], FloatBuilder(graph.graph))
    remove_dead(graph.graph)
    return made


def results(graph: FloatGraph, *names: str) -> list[np.ndarray]:
    found = FloatSession(graph, list(names)).run(FEEDS)
    return [np.asarray(found[name], np.float64) for name in names]


def test_every_tensor_of_the_stream_has_the_copies() -> None:
    graph = graph_of()
    copied(graph, 1 / 16)
    sizes = {str(v.name): shape_of(v)[-1] for node in graph.nodes for v in node.outputs}
    wide = WIDTH + COPIES
    assert {sizes[name] for name in ("a", "s", "n", f"p{NAME}", f"q{NAME}", f"x{NAME}")} == {wide}
    assert sizes["out"] == 8 and sizes["r"] == WIDTH


@pytest.mark.parametrize("shape", [(WIDTH,), (1, ROWS, WIDTH)])
def test_the_function_stays(shape: tuple[int, ...]) -> None:
    """Squares are those of the channel that is not moved; factors may differ by row."""
    graph = graph_of(gamma=numbers(shape, 4))
    wanted = results(graph, "out", "r")
    copied(graph, 1 / 16)
    for found, want in zip(results(graph, "out", "r"), wanted, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)


def test_copies_are_moved_by_what_adds_up_to_nothing() -> None:
    graph = graph_of()
    (before,) = results(graph, "a")
    copied(graph, 1 / 16)
    (after,) = results(graph, "a")
    np.testing.assert_array_equal(after[..., :WIDTH], before)
    np.testing.assert_allclose(
        after[..., WIDTH:].mean(axis=-1), before[..., LARGE], rtol=0, atol=1e-5
    )
    bias = array_of(graph.values()["a"].producer().inputs[1])
    assert bias is not None
    moved = bias[WIDTH:].astype(np.float64) - CONSTS["b"][LARGE]
    step = 2.0 * 3.0 / 255.0
    assert np.ptp(moved) == pytest.approx(channel_copies.SPAN * step, rel=0.05)
    assert abs(moved.mean()) < 1e-5
    assert len(set(np.round(moved / step, 3))) == COPIES  # each is rounded apart


def test_a_channel_that_was_scaled_little_has_none() -> None:
    graph = graph_of()
    assert not copied(graph, 1 / 3)


def test_rows_of_weights_are_split_over_the_copies() -> None:
    graph = graph_of()
    copied(graph, 1 / 16)
    reader = next(node for node in graph.nodes if node.outputs[0].name == "out")
    weights = array_of(reader.inputs[1])
    assert weights is not None
    parts = weights[[LARGE, *range(WIDTH, len(weights))]]
    np.testing.assert_allclose(parts.sum(axis=0), CONSTS["v"][LARGE], rtol=1e-5, atol=1e-7)
    assert (np.ptp(parts, axis=0) <= 1.1 * 2.0 / 255.0 * np.abs(weights).max(axis=0)).all()


def test_parts_of_a_row_are_as_precise_as_the_row_alone() -> None:
    """Of 33 parts of four levels each all were rounded alike, by an eighth of the row."""
    weights = np.asarray(numbers((WIDTH, 40), 7), np.float64)
    weights[:, 3] = 0.0
    weights[LARGE, 4] = 0.0
    sizes = np.zeros(WIDTH)
    sizes[LARGE] = 64.0
    columns = CopiedColumns.of(sizes)
    made = columns.read(weights)
    steps = 2.0 * np.abs(made).max(axis=0) / 255.0
    rounded = np.round(made / np.where(steps > 0.0, steps, 1.0)) * steps
    own = columns.channels == LARGE
    assert (np.abs(rounded[own].sum(axis=0) - weights[LARGE]) <= 1.5 * steps).all()
    assert not made[:, 3].any() and not made[own, 4].any()
    np.testing.assert_allclose(made[own].sum(axis=0), weights[LARGE], atol=1e-5)
    for turned in range(4):
        np.testing.assert_allclose(columns.places(turned) @ made, 0.0, atol=1e-5)


def test_tensors_may_be_left_without_copies() -> None:
    """What a norm returns whose rows will be scaled: it is looked for then (unlike_rows.py)."""
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("ReduceMean", ["square", "axes"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["x", "mean"], ["normed"]),
        helper.make_node("Mul", ["normed", "gamma"], ["s"]),
        helper.make_node("MatMul", ["s", "v"], ["out"]),
    ]
    graph = load(model(nodes, {"x": (1, ROWS, WIDTH)}, ["out"], CONSTS))
    factors = np.ones(WIDTH)
    factors[LARGE] = 1 / 16
    (wanted,) = results(graph, "out")
    values = [graph.values()["s"]]
    without = [graph.values()["normed"]]
    copy_channels([ScaledStream(values, factors, 3.0)], FloatBuilder(graph.graph), without)
    remove_dead(graph.graph)
    sizes = {str(v.name): shape_of(v)[-1] for node in graph.nodes for v in node.outputs}
    assert sizes["s"] == WIDTH + COPIES and sizes["normed"] == WIDTH
    assert "ReduceMean" in [node.op_type for node in graph.nodes]
    np.testing.assert_allclose(results(graph, "out")[0], wanted, rtol=1e-4, atol=1e-4)


def test_columns_of_copies_are_together_more_precise_than_one() -> None:
    """A column with one large weight, of a neuron that makes the channel, has few levels left."""
    weights = 0.02 * numbers((WIDTH, WIDTH), 7)
    weights[0, LARGE] = 3.0
    sizes = np.zeros(WIDTH)
    sizes[LARGE] = 64.0
    columns = CopiedColumns.of(sizes)
    made = columns.written(weights)
    np.testing.assert_array_equal(made[:, :WIDTH], weights)
    own = columns.channels == LARGE
    np.testing.assert_allclose(made[:, own].mean(axis=1), weights[:, LARGE], atol=1e-6)
    step = 2.0 * np.abs(made[:, own]).max() / 255.0
    rounded = np.round(made[:, own] / step) * step
    errors = [np.abs(found - weights[:, LARGE]) for found in (rounded[:, 0], rounded.mean(axis=1))]
    assert errors[0].max() > 0.4 * step and errors[1].max() < 0.06 * step


def test_what_joins_multiplied_is_moved_as_well() -> None:
    """It is rounded once more behind the product, where all copies were alike."""
    graph = load(model(JOINED, {"x": (1, ROWS, WIDTH)}, ["out"], CONSTS))
    copied(graph, 1 / 16, ("s", "n"))
    (product, added) = results(
        graph, f"g{NAME}", f"{graph.values()['s'].producer().inputs[0].name}"
    )
    moved = (added - product)[0, 0, WIDTH:]
    assert len(set(np.round(moved, 6))) == COPIES and abs(moved.sum()) < 1e-4
