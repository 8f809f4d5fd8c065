"""Rows of zeros, divided by their norm, leave the others their resolution."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper

from hexconv.calibrate.norms import KEPT, LEVELS, bounded_norms
from hexconv.onnx_graph import load
from tests.lowering.proof import Array, decibels, model, numbers

node = helper.make_node
SHAPE = (1, 8, 12)
CONSTS: dict[str, Array] = {"axis": np.array([2]), "least": np.float32(1e-12)}
NORM = node("ReduceL2", ["x", "axis"], ["n"], keepdims=1)
DIVIDE = node("Div", ["x", "m"], ["y"])
FORMS = {
    "LpNormalization": [node("LpNormalization", ["x"], ["y"], axis=2)],
    "LpNormalization of L1": [node("LpNormalization", ["x"], ["y"], axis=2, p=1)],
    "Max": [NORM, node("Max", ["n", "least"], ["m"]), DIVIDE],
    "Clip": [NORM, node("Clip", ["n", "least"], ["m"]), DIVIDE],
    "Add": [NORM, node("Add", ["n", "least"], ["m"]), DIVIDE],
    "sum of squares": [
        node("Mul", ["x", "x"], ["q"]),
        node("ReduceSum", ["q", "axis"], ["s"], keepdims=1),
        node("Sqrt", ["s"], ["r"]),
        node("Max", ["r", "least"], ["n"]),
        node("Reciprocal", ["n"], ["m"]),
        node("Mul", ["m", "x"], ["y"]),
    ],
}


def feeds(zeros: int) -> list[dict[str, Array]]:
    """Samples whose first rows are 0."""
    samples = [numbers(SHAPE, seed) for seed in range(6)]
    for x in samples:
        x[:, :zeros] = 0
    return [{"x": x} for x in samples]


def proto(nodes: list[NodeProto]) -> onnx.ModelProto:
    read = {name for item in nodes for name in item.input}
    consts = {name: array for name, array in CONSTS.items() if name in read}
    return model(nodes, {"x": SHAPE}, ["y"], consts, 18)


@pytest.mark.parametrize("zeros", [0, 3])
@pytest.mark.parametrize("form", FORMS)
def test_rows_of_zeros_cost_the_others_nothing(form: str, zeros: int) -> None:
    assert decibels(proto(FORMS[form]), feeds(zeros)) > 24


def test_reciprocals_within_8_bits_of_each_other_keep_their_range() -> None:
    nodes = [NORM, node("Reciprocal", ["n"], ["m"]), node("Mul", ["m", "x"], ["y"])]
    graph = load(proto(nodes))
    near, far = {"m": (0.5, 0.5 * LEVELS)}, {"m": (0.5, LEVELS)}
    assert bounded_norms(graph, near) == near
    assert bounded_norms(graph, far) == {"m": (0.5, 0.5 * KEPT)}


def test_a_reciprocal_that_something_else_is_multiplied_with_keeps_its_range() -> None:
    nodes = [NORM, node("Reciprocal", ["n"], ["m"]), node("Mul", ["m", "z"], ["y"])]
    consts = {"axis": CONSTS["axis"]}
    graph = load(model(nodes, {"x": SHAPE, "z": SHAPE}, ["y"], consts, 18))
    assert bounded_norms(graph, {"m": (0.5, 1e12)}) == {"m": (0.5, 1e12)}
