"""GELUs of a Linear with a few channels far above the others: what is beyond is computed apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.calibrate import large_channels, rewritten_copy
from hexconv.model import Model
from hexconv.onnx_graph.session import FloatSession
from hexconv.pipeline import prepared
from hexconv.settings import Settings
from hexconv.tensor_ranges import observed_ranges
from tests.lowering.proof import Array, decibels, model, numbers

WIDTH, HIDDEN, TOKENS = 32, 128, 24
LOUD, QUIET = 4.0, 1.0


def network(returned: bool = False, **form: Any) -> onnx.ModelProto:
    """Two Linears with a GELU between them, whose first neurons fire for a large first channel."""
    weights = numbers((WIDTH, HIDDEN), 1) * np.float32(0.12)
    weights[0], weights[1:, :2] = 0.0, 0.0
    weights[0, :2] = 6.0, 3.0
    back = numbers((HIDDEN, WIDTH), 2) * np.float32(0.1)
    consts = {"w": weights, "b": 0.1 * numbers((HIDDEN,), 3), "v": back}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["f"]),
        helper.make_node("Gelu", ["f"], ["g"], **form),
        helper.make_node("MatMul", ["g", "v"], ["y"]),
    ]
    outputs = ["y", "g"] if returned else ["y"]
    return model(nodes, {"x": (1, TOKENS, WIDTH)}, outputs, consts, opset=20)


def feeds(count: int, peak: float, first: int = 0) -> list[dict[str, Array]]:
    """Of one token the first channel is large."""
    found = []
    for seed in range(first, first + count):
        x = numbers((1, TOKENS, WIDTH), seed)
        x[:, :, 0] = 0.1
        x[0, 4, 0] = peak * (1.0 - 0.01 * (seed % 5))
        found.append({"x": x})
    return found


def tails(made: Model) -> int:
    assert made.conversion is not None
    return sum(r.times for r in made.conversion.rewrites if r.name == "gelu_tails")


@pytest.mark.parametrize("form", ["none", "tanh"])
def test_the_function_stays_as_it_is(form: str) -> None:
    graph, _ = prepared(network(approximate=form), None, Settings())
    samples = feeds(4, LOUD)
    found = observed_ranges(graph, samples, None, Settings()).ranges
    found |= large_channels(graph, found, samples)
    copy = rewritten_copy(graph, found, equalized=True)
    assert copy is not None
    assert {node.attributes.get_string("approximate") for node in copy.nodes} == {None, form}
    for sample in feeds(2, LOUD, first=20):
        wanted = FloatSession(graph, ["y"]).run(sample)["y"]
        np.testing.assert_allclose(FloatSession(copy, ["y"]).run(sample)["y"], wanted, atol=2e-3)


def test_it_gains_9_db_on_samples_that_nothing_has_seen() -> None:
    """`decibels` compares with the library as well, where it is at hand."""
    made, held = hexconv.convert(network(), samples=feeds(8, LOUD)), feeds(4, LOUD, first=40)
    assert tails(made) == 1
    plain = decibels(network(), held, ranges=made.ranges, accuracy="minmax")
    assert decibels(network(), held, ranges=made.ranges) > plain + 9.0


def test_a_range_file_gives_the_same_bytes() -> None:
    made = hexconv.convert(network(), samples=feeds(8, LOUD))
    again = hexconv.convert(network(), ranges=made.ranges)
    assert tails(again) == 1 and again.graph.consts == made.graph.consts


@pytest.mark.parametrize("settings", [{"accuracy": "minmax"}, {"optimize": "none"}])
def test_minmax_and_optimize_none_leave_it_out(settings: dict[str, Any]) -> None:
    assert not tails(hexconv.convert(network(), samples=feeds(8, LOUD), **settings))


def test_a_range_that_would_not_halve_stays() -> None:
    assert not tails(hexconv.convert(network(), samples=feeds(8, QUIET)))


def test_a_gelu_that_the_model_returns_stays() -> None:
    assert not tails(hexconv.convert(network(returned=True), samples=feeds(8, LOUD)))


def test_verify_compares_the_new_tensors() -> None:
    made = hexconv.convert(network(), samples=feeds(8, LOUD))
    report = hexconv.verify(made, network(), feeds(2, LOUD, first=40))
    assert {"g/near", "g/far"} <= {row.tensor for row in report.layers}
    assert not {"g/near", "g/far"} & set(report.unmatched)
