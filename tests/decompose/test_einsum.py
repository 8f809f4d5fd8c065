"""Einsum as products, sums and transposes: what ONNX's equations say, for one operand and more."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from hexconv.onnx_graph.session import FloatSession
from hexconv.pipeline import prepared
from hexconv.settings import Settings
from tests.lowering.proof import matches, model, numbers, unsupported_op

SIZES = dict(zip("abchijkqtxy", (2, 3, 4, 2, 3, 4, 5, 3, 6, 2, 3), strict=True))
EQUATIONS = [
    "ij->ji",
    "ijk->kij",
    "ij->i",
    "ij->",
    "ij,jk->ik",
    "ij,kj->ik",
    "ji,jk->ki",
    "i,i->",
    "i,j->ij",
    "ij,ij->ij",
    "ij,ij->",
    "bij,bjk->bik",
    "bhqx,bhtx->bhqt",
    "bqhx,bthx->bhqt",
    "bhqt,bthx->bqhx",
    "aij,bjk->abik",
    "ij,jk,kh->ih",
    "ij,jk",
    "ab,ck->abck",
    "ijk,jk->i",
]


def shape(labels: str) -> tuple[int, ...]:
    return tuple(SIZES[label] for label in labels)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_an_equation_holds_in_float_and_on_the_dsp(equation: str) -> None:
    terms = equation.split("->")[0].split(",")
    feeds = {f"x{i}": numbers(shape(term), i) for i, term in enumerate(terms)}
    nodes = [helper.make_node("Einsum", list(feeds), ["y"], name="node", equation=equation)]
    proto = model(nodes, {name: array.shape for name, array in feeds.items()}, ["y"])
    expected = np.asarray(np.einsum(equation, *feeds.values()), np.float32)
    graph, _ = prepared(proto, None, Settings())
    output = FloatSession(graph).run(feeds)["y"]
    np.testing.assert_allclose(output, expected, atol=1e-5)
    matches(proto, 8.0, feeds, [expected])  # inputs are not exactly representable here


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)), ("...ij,jk->...ik", (2, 3, 4), (4, 5))],
)
def test_dots_stand_for_the_axes_in_front(
    equation: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    feeds = {"a": numbers(left), "b": numbers(right, 2)}
    nodes = [helper.make_node("Einsum", ["a", "b"], ["y"], name="node", equation=equation)]
    graph, _ = prepared(model(nodes, {"a": left, "b": right}, ["y"]), None, Settings())
    np.testing.assert_allclose(
        FloatSession(graph).run(feeds)["y"], np.einsum(equation, *feeds.values()), atol=1e-5
    )


def test_a_diagonal_is_rejected() -> None:
    nodes = [helper.make_node("Einsum", ["x"], ["y"], name="node", equation="ii->i")]
    assert "diagonal" in unsupported_op(model(nodes, {"x": (4, 4)}, ["y"]))
