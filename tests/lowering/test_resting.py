"""Sums of an activation and a number are exact: they have the activation's steps."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv import pipeline
from hexconv.lowering.resting import MOST
from hexconv.model import Model
from tests.lowering.proof import Array, float_outputs, model, numbers, same_on_the_library
from tests.real_library import needed

SHAPE = (1, 8, 12, 12)


def affine(activation: str, factor: float, number: float, op: str = "Add") -> onnx.ModelProto:
    """A layer's activation times a number and a number, read by a convolution that pads zeros."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["h"]),
        helper.make_node(activation, ["h"], ["r"]),
        helper.make_node("Mul", ["factor", "r"], ["m"]),
        helper.make_node(op, ["m", "number"], ["a"]),
        helper.make_node("Conv", ["a", "d"], ["c"], pads=[2] * 4, group=8),
        helper.make_node("GlobalAveragePool", ["c"], ["y"]),
    ]
    consts = {
        "w": numbers((8, 8, 1, 1), 1),
        "b": np.float32(numbers((8,), 2) - 4.0),
        "d": np.abs(numbers((8, 1, 5, 5), 3)),
        "factor": np.float32([factor]),
        "number": np.float32([number]),
    }
    return model(nodes, {"x": SHAPE}, ["y"], consts)


def feeds(count: int, first: int = 0) -> list[dict[str, Array]]:
    return [{"x": 3 * numbers(SHAPE, seed)} for seed in range(first, first + count)]


def sum_of(made: Model) -> tuple[float, float]:
    """The step of the sum, and the number in such steps."""
    consts = made.graph.const_by_id()
    node = next(node for node in made.graph.nodes if node.op == "QuantizedAdd_8p8to8")
    least, most, low, high = (float(consts[ref.node].array.flat[0]) for ref in node.inputs[-4:])
    step = (high - low) / 255
    return step, (least + most) / step


def error(made: Model, proto: onnx.ModelProto, held: list[dict[str, Array]]) -> float:
    pairs = ((float_outputs(proto, x)[0], hexconv.simulate(made, x)["y"]) for x in held)
    return sum(float(np.square(wanted - found).sum()) for wanted, found in pairs)


@pytest.mark.parametrize("activation", ["HardSwish", "Relu"])
@pytest.mark.parametrize(("factor", "number"), [(2.0, 0.9), (0.3, -0.4), (1.0, 2.3)])
def test_the_number_is_a_whole_count_of_the_activations_steps(
    activation: str, factor: float, number: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto, held = affine(activation, factor, number), feeds(4, first=50)
    made = hexconv.convert(proto, samples=feeds(8))
    step, count = sum_of(made)
    assert count == pytest.approx(round(count), abs=0.01)
    monkeypatch.setattr(pipeline, "on_resting", lambda nodes, ranges, observed: observed)
    before = hexconv.convert(proto, samples=feeds(8))
    assert step <= 1.01 * MOST * sum_of(before)[0]
    errors = [error(item, proto, held) for item in (made, before)]
    assert errors[0] < errors[1]


def test_a_number_that_is_taken_off_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    proto, held = affine("Relu", 0.3, 0.4, "Sub"), feeds(4, first=50)
    made = hexconv.convert(proto, samples=feeds(8))
    monkeypatch.setattr(pipeline, "on_resting", lambda nodes, ranges, observed: observed)
    before = hexconv.convert(proto, samples=feeds(8))
    assert error(made, proto, held) < error(before, proto, held) / 20.0


@pytest.mark.parametrize(
    ("activation", "number"), [("Relu", 1e-3), ("Sigmoid", 0.5), ("Relu", 100.0)]
)
def test_other_sums_keep_their_ranges(
    activation: str, number: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number below a step; values that rest at no 0; a number that is most of the sum."""
    proto = affine(activation, 1.0, number)
    made = hexconv.convert(proto, samples=feeds(4))
    monkeypatch.setattr(pipeline, "on_resting", lambda nodes, ranges, observed: observed)
    assert sum_of(hexconv.convert(proto, samples=feeds(4))) == sum_of(made)


@needed
def test_the_library_returns_the_same_bits() -> None:
    made = hexconv.convert(affine("HardSwish", 2.0, 0.9), samples=feeds(4))
    same_on_the_library(made, feeds(1, first=50)[0])
