"""Magnitudes, and logarithms and powers of them, without squares."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.nnlib.versions import DEFAULT_LIBRARY
from hexconv.onnx_graph import load
from hexconv.optimize.price import Prices
from hexconv.optimize.registry import REWRITES
from tests.lowering.proof import emitted, float_outputs, model, same_on_the_library
from tests.optimize.proof import Array, applied
from tests.real_library import needed

AXIS = np.array([1])
PAIR = [helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2)]
SQUARES = [
    *PAIR,
    helper.make_node("Mul", ["a", "a"], ["aa"]),
    helper.make_node("Pow", ["b", "two"], ["bb"]),
    helper.make_node("Add", ["aa", "bb"], ["p"]),
]
SUM = [helper.make_node("ReduceSumSquare", ["x", "axis"], ["p"], keepdims=0)]
TORCH = [
    helper.make_node("Pow", ["x", "two"], ["s"]),
    helper.make_node("ReduceSum", ["s", "axis"], ["p"], keepdims=1),
]
NORM = [helper.make_node("ReduceL2", ["x", "axis"], ["y"], keepdims=0)]


def then(*ops: str) -> list[onnx.NodeProto]:
    """Ops behind `p`, each with the constant of its name in lower case where it has one."""
    names = ["p", *(f"p{place}" for place in range(1, len(ops))), "y"]
    return [
        helper.make_node(op.split(" ")[0], [names[i], *op.split(" ")[1:]], [names[i + 1]])
        for i, op in enumerate(ops)
    ]


def network(nodes: Sequence[onnx.NodeProto], parts: int = 2) -> onnx.ModelProto:
    used = {name for node in nodes for name in node.input}
    consts = {"two": 2.0, "half": 0.5, "low": 1e-3, "tiny": 1e-8, "third": 0.3, "ten": 10.0}
    known = {name: np.float32(value) for name, value in consts.items()}
    known = {"axis": AXIS, **known}
    given = {name: np.asarray(value) for name, value in known.items() if name in used}
    return model(nodes, {"x": (1, parts, 24, 32)}, ["y"], given)


def spectra(count: int, parts: int = 2, first: int = 0) -> list[dict[str, Array]]:
    """Loud and quiet bins, as of speech."""
    found = []
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        loud = np.exp(1.5 * rng.standard_normal((1, 1, 24, 32)))
        found.append({"x": np.float32(loud * rng.standard_normal((1, parts, 24, 32)))})
    return found


FORMS: dict[str, tuple[list[onnx.NodeProto], Callable[[Array], Array]]] = {
    "root": ([*SQUARES, *then("Sqrt")], np.sqrt),
    "root with a small number": ([*SUM, *then("Add tiny", "Sqrt")], np.sqrt),
    "root of a bound": ([*TORCH, *then("Max low", "Sqrt")], lambda p: np.sqrt(np.maximum(p, 1e-3))),
    "power": ([*SUM, *then("Add tiny", "Pow third", "Mul ten")], lambda p: 10 * p**0.3),
    "norm": (NORM, np.sqrt),
    "logarithm": ([*SUM, *then("Add low", "Log")], lambda p: np.log(p + 1e-3)),
    "decibels": (
        [*SUM, *then("Clip low", "Log", "Mul ten")],
        lambda p: 10 * np.log(np.maximum(p, 1e-3)),
    ),
    "root, square, logarithm": (
        [*SQUARES, *then("Sqrt", "Pow two", "Max low", "Log", "Div ten")],
        lambda p: np.log(np.maximum(p, 1e-3)) / 10,
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_small_values_keep_their_levels(form: str) -> None:
    """The function is right to 1 %, and the model far better than with squares."""
    nodes, function = FORMS[form]
    proto, (held,) = network(nodes), spectra(1, first=50)
    graph = load(proto)
    (wanted,) = float_outputs(proto, held)
    power = np.float64(held["x"]) ** 2
    assert np.allclose(wanted.reshape(-1), function(power.sum(1)).reshape(-1), rtol=1e-3, atol=1e-4)
    assert REWRITES["magnitudes"].run(Prices(DEFAULT_LIBRARY), graph) == 1
    (close,) = float_outputs(graph.to_proto(), held)
    assert close.shape == wanted.shape
    assert np.abs(close - wanted).max() <= 0.01 * np.abs(wanted).max()
    errors = []
    for without in ((), ("magnitudes",)):
        made = hexconv.convert(proto, samples=spectra(6), without=without)
        assert ("magnitudes" in applied(made)) is not without
        errors.append(float(np.square(hexconv.simulate(made, held)["y"] - wanted).mean()))
    assert errors[0] < errors[1] / (0.8 if form == "norm" else 8.0)


@pytest.mark.parametrize("parts", [3, 4])
def test_more_than_two_squares_are_taken_in_turn(parts: int) -> None:
    proto, (held,) = network(NORM, parts), spectra(1, parts, first=50)
    graph = load(proto)
    assert REWRITES["magnitudes"].run(Prices(DEFAULT_LIBRARY), graph) == 1
    (wanted,), (close,) = (float_outputs(item, held) for item in (proto, graph.to_proto()))
    assert np.abs(close / wanted - 1.0).max() < 0.01 * (parts - 1)


@pytest.mark.parametrize(
    "nodes",
    [
        [*SUM, *then("Mul ten")],
        [*SUM, *then("Pow two")],
        [*SUM, *then("Add low", "Sqrt")],
        [*SUM, *then("Sub low", "Log")],
        [*PAIR, helper.make_node("Mul", ["a", "b"], ["p"]), *then("Sqrt")],
        [helper.make_node("ReduceSumSquare", ["x", "axes"], ["p"]), *then("Sqrt")],
    ],
)
def test_other_functions_stay(nodes: list[onnx.NodeProto]) -> None:
    proto = network(nodes)
    if any("axes" in node.input for node in nodes):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 3]), "axes"))
    assert REWRITES["magnitudes"].run(Prices(DEFAULT_LIBRARY), load(proto)) == 0


def test_the_sum_stays_for_its_other_readers() -> None:
    proto = network([*SQUARES, *then("Sqrt")])
    proto.graph.output.append(helper.make_empty_tensor_value_info("p"))
    graph, (held,) = load(proto), spectra(1)
    assert REWRITES["magnitudes"].run(Prices(DEFAULT_LIBRARY), graph) == 1
    before, after = (float_outputs(item, held) for item in (proto, graph.to_proto()))
    assert np.array_equal(before[1], after[1])


def test_the_ranges_of_the_model_give_it_again_and_minmax_leaves_it_out() -> None:
    proto = network([*SQUARES, *then("Sqrt")])
    made = hexconv.convert(proto, samples=spectra(4))
    again = hexconv.convert(proto, ranges=made.ranges)
    assert emitted(again) == emitted(made) and "QuantizedMul_8x8to8" not in emitted(made)
    plain = hexconv.convert(proto, samples=spectra(4), accuracy="minmax")
    assert "QuantizedMul_8x8to8" in emitted(plain)


@needed
@pytest.mark.parametrize("form", FORMS)
def test_the_library_returns_the_same_bits(form: str) -> None:
    made = hexconv.convert(network(FORMS[form][0]), samples=spectra(4))
    same_on_the_library(made, spectra(1, first=50)[0])
