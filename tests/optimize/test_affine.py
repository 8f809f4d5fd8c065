"""A factor and an addend per channel are one node."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

from hexconv.compare import metrics
from hexconv.compare.eight_bits import EightBits
from hexconv.onnx_graph import load
from tests.lowering.proof import decibels, float_outputs, model, numbers
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


@pytest.mark.parametrize("first", ["Sub", "Add", "swapped Sub"])
@pytest.mark.parametrize("second", ["Mul", "Div"])
@pytest.mark.parametrize("shape", [(2, 40, 24), (1, 12, 9, 5), (60, 24)])
@pytest.mark.parametrize("axis", [1, -1])
def test_features_less_their_mean_by_their_deviation_are_one_node_as_accurate_as_8_bits(
    first: str, second: str, shape: tuple[int, ...], axis: int
) -> None:
    """Channels whose deviations are unlike: what rounding a factor changes at the mean is made up.

    As two nodes the difference is rounded as well, which costs 4 dB.
    """
    channels = shape[axis]
    along = [1] * len(shape)
    along[axis] = channels
    deviation = np.geomspace(1, 10, channels, dtype=np.float32).reshape(along)
    mean = 3 * deviation
    nodes = [
        helper.make_node(first.split()[-1], ["m", "x"] if " " in first else ["x", "m"], ["t"]),
        helper.make_node(second, ["t", "s"], ["y"]),
    ]
    consts = {
        "m": -mean if first == "Add" else mean,
        "s": 1 / deviation if second == "Mul" else deviation,
    }
    feeds = {"x": mean + deviation * numbers(shape)}
    proto = model(nodes, {"x": shape}, ["y"], consts)
    on = converted(proto, feeds)
    assert applied(on)[NAME] == 1 and ops(on)["QuantizedBatchNorm_8x8p32to8"] == 1
    wanted = float_outputs(proto, feeds)[0]
    ideal = EightBits(load(proto), [feeds]).run(feeds)["y"] - wanted
    allowed = metrics.decibels(float((wanted**2).sum()), float((ideal**2).sum()))
    assert decibels(proto, [feeds]) > allowed - 1.0


@pytest.mark.parametrize("op", ["Mul", "Div", "BatchNormalization"])
def test_factors_of_any_sizes_are_each_precise(op: str) -> None:
    """In one scale the small ones would be 0, and a clip lets nothing but theirs through."""
    shape, factor = (1, 6, 50), np.float32([-2.3, 10.9, 0.03, -3.6, -3.9, 0.011])
    one, zero = np.ones(6, np.float32), np.zeros(6, np.float32)
    consts = {"f": factor.reshape(6, 1)} if op == "Mul" else {"f": 1 / factor.reshape(6, 1)}
    inputs = ["x", "f"]
    if op == "BatchNormalization":
        consts = {"f": factor, "b": zero, "m": zero, "v": one}
        inputs = ["x", *consts]
    consts |= {"low": np.float32(0), "high": np.float32(0.1)}
    nodes = [
        helper.make_node(op, inputs, ["s"]),
        helper.make_node("Clip", ["s", "low", "high"], ["y"]),
    ]
    feeds = {"x": 3 * numbers(shape)}
    proto = model(nodes, {"x": shape}, ["y"], consts)
    assert decibels(proto, [feeds]) > 25.0
    assert decibels(proto, [feeds], optimize="none") > 25.0


def test_usual_factors_are_precise_beside_a_large_one() -> None:
    """As where a norm reads a channel that is scaled down: a level of 12 is a twentieth of 1."""
    factor, x = np.ones(64, np.float32), numbers((1, 60, 64))
    factor[0], x[..., 0] = 12.0, 0.0
    nodes = [helper.make_node("Mul", ["x", "g"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
    proto = model(nodes, {"x": x.shape}, ["y"], {"g": factor, "b": 0.1 * numbers((64,), 2)})
    assert applied(converted(proto, {"x": x}))[NAME] == 1
    assert decibels(proto, [{"x": x}]) > 37.0
