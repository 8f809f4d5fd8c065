"""A factor and an addend per channel are one node."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

from tests.lowering.proof import model, numbers
from tests.optimize.proof import applied, better, converted, errors, ops

NAME = "affine"
SHAPE = (1, 9, 24)
FEEDS = {"x": numbers(SHAPE)}


def net(
    gamma: tuple[int, ...] = (24,),
    beta: tuple[int, ...] = (24,),
    *,
    swap: bool = False,
    relu: bool = False,
    also: bool = False,
) -> ModelProto:
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Mul", ["g", "t"] if swap else ["t", "g"], ["m"]),
        helper.make_node("Add", ["b", "m"] if swap else ["m", "b"], ["a" if relu else "y"]),
    ]
    if relu:
        nodes.append(helper.make_node("Relu", ["a"], ["y"]))
    consts = {"g": 1.0 + 0.5 * numbers(gamma, 2), "b": numbers(beta, 3)}
    return model(nodes, {"x": SHAPE}, ["y", *(["m"] if also else [])], consts)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_it_is_one_batch_norm(swap: bool, relu: bool) -> None:
    on, off = better(net(swap=swap, relu=relu), NAME, FEEDS, 2.0)
    assert ops(on) == {"QuantizedTanh_8": 1, "QuantizedBatchNorm_8x8p32to8": 1}
    assert ops(off)["QuantizedMul_8x8to8"] == ops(off)["QuantizedAdd_8p8to8"] == 1


@pytest.mark.parametrize(
    ("gamma", "beta"), [((9, 1), (24,)), ((24,), (9, 24)), ((1,), (24,)), ((24,), (9, 1))]
)
def test_other_constants_are_left_alone(gamma: tuple[int, ...], beta: tuple[int, ...]) -> None:
    proto = net(gamma, beta)
    on = converted(proto, FEEDS)
    assert NAME not in applied(on) and max(errors(on, proto, FEEDS)) <= 3.0


def test_a_product_that_is_requested_stays() -> None:
    proto = net(also=True)
    on = converted(proto, FEEDS)
    assert NAME not in applied(on) and max(errors(on, proto, FEEDS)) <= 3.0


def test_channels_may_be_on_any_axis() -> None:
    """After a convolution the last ONNX axis is not the last in memory."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Mul", ["c", "g"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    consts = {"w": 0.3 * numbers((4, 3, 1, 1), 2), "g": numbers((7,), 3), "b": numbers((7,), 4)}
    proto = model(nodes, {"x": (1, 3, 5, 7)}, ["y"], consts)
    feeds = {"x": numbers((1, 3, 5, 7))}
    on = converted(proto, feeds)
    assert applied(on)[NAME] == 1 and max(errors(on, proto, feeds)) <= 4.0
    assert np.isfinite(on.graph.outputs[0].range).all()
