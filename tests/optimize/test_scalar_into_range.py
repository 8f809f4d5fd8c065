"""A product with a positive constant keeps the quantized values: no node."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

from tests.lowering.proof import model, numbers
from tests.optimize.proof import applied, better, converted, errors, ops

NAME = "scalar_into_range"
SHAPE = (1, 5, 3)
"""Rows so short that no probability is small: a flat softmax is written out otherwise."""
FEEDS = {"x": numbers(SHAPE)}


def net(op: str, inputs: list[str], factor: np.ndarray) -> ModelProto:
    nodes = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node(op, inputs, ["t"])]
    nodes.append(helper.make_node("Softmax", ["t"], ["y"]))
    return model(nodes, {"x": SHAPE}, ["y"], {"f": np.asarray(factor, np.float32)})


@pytest.mark.parametrize(
    ("op", "inputs"), [("Mul", ["s", "f"]), ("Mul", ["f", "s"]), ("Div", ["s", "f"])]
)
@pytest.mark.parametrize("factor", [4.0, 0.25, 3.0, [[[3.0]]]])
def test_scaling_is_free(op: str, inputs: list[str], factor: float) -> None:
    on, off = better(net(op, inputs, np.asarray(factor)), NAME, FEEDS, 2.0)
    assert ops(on) == {"QuantizedSigmoid_8": 1, "QuantizedSoftmax_8": 1}
    assert ops(off)["QuantizedMul_8x8to8"] == 1


@pytest.mark.parametrize(
    ("op", "inputs", "factor"),
    [
        ("Mul", ["s", "f"], -2.0),
        ("Mul", ["s", "f"], 0.0),
        ("Div", ["f", "s"], 1.0),
        ("Mul", ["s", "f"], np.arange(1, 4)),
    ],
)
def test_what_changes_values_stays_a_node(op: str, inputs: list[str], factor: float) -> None:
    proto = net(op, inputs, np.asarray(factor))
    on = converted(proto, FEEDS)
    # Softmax of steep slopes.
    assert NAME not in applied(on) and max(errors(on, proto, FEEDS)) <= 4.0


def test_the_models_own_input_is_not_rescaled() -> None:
    """Its range is the run's: only the runtime knows it."""
    nodes = [helper.make_node("Mul", ["x", "f"], ["y"])]
    proto = model(nodes, {"x": SHAPE}, ["y"], {"f": np.float32(2)})
    on = converted(proto, FEEDS)
    assert NAME not in applied(on) and max(errors(on, proto, FEEDS)) <= 1.0


def test_a_rescaled_output_comes_out_scaled() -> None:
    nodes = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["s", "f"], ["y"])]
    proto = model(nodes, {"x": SHAPE}, ["y"], {"f": np.float32(100)})
    assert max(errors(converted(proto, FEEDS), proto, FEEDS)) <= 1.5
