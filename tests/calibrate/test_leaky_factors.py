"""LeakyRelu and PRelu of products whose negative values reach far keep their levels."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper

import hexconv
from tests.lowering.proof import Array, decibels, model, numbers

node = helper.make_node
SHAPE = (1, 6, 5, 9)
FRONTS = {
    "input": [],
    "Conv": [node("Conv", ["x", "w"], ["d"])],
    "Linear": [node("MatMul", ["x", "m"], ["d"])],
    "Add": [node("Add", ["x", "b"], ["d"])],
}
LEAST = 35.0
"""dB: what 8 bits allow, less a rounding of the data and one of the product. It was 20 to 30."""
LOUD, QUIET = -8.0, 0.4
"""Factors of the first column, whose data are positive, and of the others."""


def proto(front: str, sign: float, alpha: float, op: str, leaky: str) -> onnx.ModelProto:
    nodes: list[NodeProto] = list(FRONTS[front])
    data = "d" if nodes else "x"
    factors = np.full(9, QUIET * sign, np.float32)
    factors[0] = LOUD * sign
    nodes.append(node(op, [data, "f"], ["p"]))
    if leaky == "LeakyRelu":
        nodes.append(node("LeakyRelu", ["p"], ["y"], alpha=alpha))
    else:
        nodes.append(node("PRelu", ["p", "s"], ["y"]))
    consts: dict[str, Array] = {
        "w": np.eye(6, dtype=np.float32).reshape(6, 6, 1, 1),
        "m": np.eye(9, dtype=np.float32),
        "b": np.full(9, 0.05 * sign, np.float32),
        "f": factors if op == "Mul" else 1 / factors,
        "s": np.linspace(alpha / 2, alpha, 6, dtype=np.float32).reshape(6, 1, 1),
    }
    read = {name for item in nodes for name in item.input}
    used = {name: array for name, array in consts.items() if name in read}
    return model(nodes, {"x": SHAPE}, ["y"], used)


def feeds(sign: float) -> list[dict[str, Array]]:
    """Samples whose first column has the factors' sign, so that its products are below 0."""
    samples = [numbers(SHAPE, seed) for seed in range(4)]
    for x in samples:
        x[..., 0] = sign * abs(x[..., 0])
    return [{"x": x} for x in samples]


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("front", FRONTS)
def test_what_is_above_0_has_the_levels_of_the_result(
    front: str, alpha: float, sign: float
) -> None:
    assert decibels(proto(front, sign, alpha, "Mul", "LeakyRelu"), feeds(sign)) > LEAST


@pytest.mark.parametrize("op", ["Mul", "Div"])
@pytest.mark.parametrize("leaky", ["LeakyRelu", "PRelu"])
def test_quotients_and_slopes_of_channels_do_as_well(op: str, leaky: str) -> None:
    assert decibels(proto("input", 1.0, 0.02, op, leaky), feeds(1.0)) > LEAST


@pytest.mark.parametrize("alpha", [0.8, 1.5, -0.1])
def test_results_as_wide_as_the_product_are_left(alpha: float) -> None:
    made = hexconv.convert(proto("input", 1.0, alpha, "Mul", "LeakyRelu"), samples=feeds(1.0))
    assert "leaky_factors" not in {item.name for item in made.conversion.rewrites}


def test_one_factor_for_all_is_left() -> None:
    nodes = [node("Mul", ["x", "f"], ["p"]), node("LeakyRelu", ["p"], ["y"], alpha=0.01)]
    x = -abs(numbers(SHAPE))
    x[..., 0] = 0.1
    one = model(nodes, {"x": SHAPE}, ["y"], {"f": np.float32(0.7)})
    made = hexconv.convert(one, samples=[{"x": x}])
    assert "leaky_factors" not in {item.name for item in made.conversion.rewrites}
